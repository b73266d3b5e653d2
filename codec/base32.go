package codec

// Base32Digits is Crockford's base 32 in lower case. It keeps byte order:
// texts of equal length sort as the bytes do.
const Base32Digits = "0123456789abcdefghjkmnpqrstvwxyz"

// digitValues is the inverse of Base32Digits; 0xff for everything else, upper
// case and Crockford's aliases included.
var digitValues = func() (v [256]byte) {
	for i := range v {
		v[i] = 0xff
	}
	for i, d := range []byte(Base32Digits) {
		v[d] = byte(i)
	}
	return v
}()

// AppendBase32 appends src to dst in base 32: (8·len(src)+4)/5 digits, most
// significant bit first, the spare bits of the last digit zero. It allocates
// only if dst has no room.
func AppendBase32(dst, src []byte) []byte {
	for ; len(src) >= 5; src = src[5:] { // five bytes are eight digits
		bits := uint64(src[0])<<32 | uint64(src[1])<<24 | uint64(src[2])<<16 |
			uint64(src[3])<<8 | uint64(src[4])
		dst = append(dst,
			Base32Digits[bits>>35], Base32Digits[bits>>30&31], Base32Digits[bits>>25&31], Base32Digits[bits>>20&31],
			Base32Digits[bits>>15&31], Base32Digits[bits>>10&31], Base32Digits[bits>>5&31], Base32Digits[bits&31])
	}
	var bits, n uint
	for _, b := range src {
		bits, n = bits<<8|uint(b), n+8
		for n >= 5 {
			n -= 5
			dst = append(dst, Base32Digits[bits>>n&31])
		}
	}
	if n > 0 {
		dst = append(dst, Base32Digits[bits<<(5-n)&31])
	}
	return dst
}

// DecodeBase32 fills dst from text, the inverse of AppendBase32. It returns
// false for every other spelling: another length, upper case, aliases, spare
// bits that are not zero. dst then holds nothing of use. It allocates nothing.
func DecodeBase32(dst []byte, text string) bool {
	if len(text) != (8*len(dst)+4)/5 {
		return false
	}
	var all byte // the digits' values or-ed: above 31 if one is not a digit
	for ; len(dst) >= 5; text, dst = text[8:], dst[5:] {
		t, d := text[:8], dst[:5] // one check of bounds for all
		v0, v1, v2, v3 := digitValues[t[0]], digitValues[t[1]], digitValues[t[2]], digitValues[t[3]]
		v4, v5, v6, v7 := digitValues[t[4]], digitValues[t[5]], digitValues[t[6]], digitValues[t[7]]
		all |= v0 | v1 | v2 | v3 | v4 | v5 | v6 | v7
		d[0] = v0<<3 | v1>>2
		d[1] = v1<<6 | v2<<1 | v3>>4
		d[2] = v3<<4 | v4>>1
		d[3] = v4<<7 | v5<<2 | v6>>3
		d[4] = v6<<5 | v7
	}
	var bits, n uint
	for i := range len(text) {
		v := digitValues[text[i]]
		all |= v
		bits, n = bits<<5|uint(v), n+5
		if n >= 8 {
			n -= 8
			dst[0], dst = byte(bits>>n), dst[1:]
		}
	}
	return all < 32 && bits&(1<<n-1) == 0
}
