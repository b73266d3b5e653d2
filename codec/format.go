package codec

// Format identifies a file, under KeyFormat. It is written when
// the file is made and by upgrades. Its own form has not changed since format
// 1, so that every program can tell which file it must not touch.
//
//	offset 9  text Application, cf + 8 Version, cf + 8 MinReader,
//	          d3 + 8 CreatedAt, text Unicode
type Format struct {
	Application string // the same in every file of this library
	Version     uint64 // of the file's format
	MinReader   uint64 // the least format that a program must know to use it
	CreatedAt   int64  // Unix milliseconds
	Unicode     string // version of the tables that folded keys were made with
}

// FormatVersion is the format of the files that this package describes:
// Version and MinReader of [Format].
const FormatVersion = 2

var formatLayout = layout{seedMeta(KeyFormat), 1, 5}

// Append appends the value of r, whose key is KeyFormat, to dst.
func (r *Format) Append(dst []byte) []byte {
	start := len(dst)
	dst = begin(dst, formatLayout)
	dst = appendText(dst, r.Application)
	dst = appendUint64(dst, r.Version)
	dst = appendUint64(dst, r.MinReader)
	dst = appendInt64(dst, r.CreatedAt)
	dst = appendText(dst, r.Unicode)
	return seal(dst, start, formatLayout, "")
}

// DecodeFormat decodes the value under KeyFormat, in a file of any format.
// Errors are ErrCorrupt and ErrNewer.
func DecodeFormat(value []byte) (Format, error) {
	extra, err := open(formatLayout, nil, value)
	if err != nil {
		return Format{}, err
	}
	r := reader{value: value, off: offFields}
	t := copyText(nil, value, offFields, len(value))
	f := Format{
		Application: t.at(r.text()),
		Version:     r.uint64(),
		MinReader:   r.uint64(),
		CreatedAt:   r.int64(),
		Unicode:     t.at(r.text()),
	}
	if !r.finish(extra) {
		return Format{}, errStructure
	}
	return f, nil
}
