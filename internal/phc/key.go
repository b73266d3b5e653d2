package phc

import "math/bits"

// A Key is a hash taken apart, for systems that keep the parts in columns of
// their own. All of them hash the password as it came in.
type Key struct {
	// Scheme is "pbkdf2-sha1", "pbkdf2-sha256", "pbkdf2-sha512", "scrypt",
	// "argon2id" or "argon2i" (version 19).
	Scheme string

	Iterations uint64 // of PBKDF2; of Argon2, the passes

	N, R, P uint64 // of scrypt, N not as a logarithm; of Argon2, P is the lanes

	MemoryKiB uint64 // of Argon2

	Salt []byte // 1–256 bytes, as they went into the computation
	Key  []byte // 16–1,024 bytes of PBKDF2, 16–128 of the others
}

// maxBlocks bounds the key of PBKDF2 before all but its first block is cut off.
const maxBlocks = 1 << 10

func (k *Key) parsed() (Parsed, error) {
	sch := schemes[k.Scheme]
	p := Parsed{scheme: sch, form: formBoth, salt: append([]byte(nil), k.Salt...)}
	switch sch {
	case pbkdf2SHA1, pbkdf2SHA256, pbkdf2SHA512:
		if len(k.Key) > maxBlocks {
			return Parsed{}, malformed("length of the key")
		}
		p.n = [3]uint64{k.Iterations}
	case scryptKey:
		if bits.OnesCount64(k.N) != 1 {
			return Parsed{}, malformed("N is not a power of two")
		}
		p.n = [3]uint64{uint64(bits.TrailingZeros64(k.N)), k.R, k.P}
	case argon2id, argon2i:
		p.n = [3]uint64{k.MemoryKiB, k.Iterations, k.P}
	default:
		return Parsed{}, malformed("unknown scheme of the key")
	}
	for _, n := range p.n {
		if n > maxNumber {
			return Parsed{}, beyond("work")
		}
	}
	p.key = append([]byte(nil), k.Key...)
	return p, nil
}
