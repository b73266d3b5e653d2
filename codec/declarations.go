package codec

// Declarations are the indexes and identifier rules that the keys of a file
// were made with, under KeyDeclarations. Both lists keep their order.
//
//	offset 9  dc + 2 + Indexes, dc + 2 + Providers, cf + 8 Version,
//	          dc + 2 + Owned, each a text
type Declarations struct {
	Indexes   []Index    // nil if empty
	Providers []Provider // nil if empty

	// Version is raised by every change. 0 is not written: a file of format 1
	// has no version.
	Version uint64

	// Owned are the application's buckets whose keys begin with a user id and a
	// zero byte, strictly ascending. None are not written; where there are some,
	// there is a Version.
	Owned []string
}

// Index declares an attribute to be indexed: 93, text Name, c3 or c2 for
// Unique and Fold.
type Index struct {
	Name   string
	Unique bool // at most one user a value
	Fold   bool // text is folded before it becomes a key
}

// Provider declares how identifiers become keys: 92, text Name, text Rule.
type Provider struct{ Name, Rule string }

const (
	indexParts    = 3
	indexBytes    = 1 + 2 + 2*1
	providerParts = 2
	providerBytes = 1 + 2*2
)

var declarationsLayout = layout{seedMeta(KeyDeclarations), 1, 2}

// Append appends the value of r, whose key is KeyDeclarations, to dst.
func (r *Declarations) Append(dst []byte) []byte {
	start, l := len(dst), declarationsLayout
	if r.Version != 0 {
		l.fields++
	}
	if len(r.Owned) > 0 {
		l.fields++
	}
	dst = begin(dst, l)
	dst = appendList(dst, len(r.Indexes))
	for _, x := range r.Indexes {
		dst = appendTuple(dst, indexParts)
		dst = appendText(dst, x.Name)
		dst = appendBool(dst, x.Unique)
		dst = appendBool(dst, x.Fold)
	}
	dst = appendList(dst, len(r.Providers))
	for _, p := range r.Providers {
		dst = appendTuple(dst, providerParts)
		dst = appendText(dst, p.Name)
		dst = appendText(dst, p.Rule)
	}
	if r.Version != 0 {
		dst = appendUint64(dst, r.Version)
	}
	if len(r.Owned) > 0 {
		dst = appendNames(dst, r.Owned)
	}
	return seal(dst, start, l, "")
}

// DecodeDeclarations decodes the value under KeyDeclarations, in a file of
// format 1 or 2. Errors are ErrCorrupt and ErrNewer.
func DecodeDeclarations(value []byte) (Declarations, error) {
	extra, err := open(declarationsLayout, nil, value)
	if err != nil {
		return Declarations{}, err
	}
	r := reader{value: value, off: offFields}
	t := copyText(nil, value, offFields, len(value))
	d := Declarations{Indexes: r.indexes(t), Providers: r.providers(t)}
	if extra > 0 {
		d.Version = r.uint64()
		r.bad = r.bad || d.Version == 0
		extra--
	}
	if extra > 0 {
		d.Owned = r.names(t)
		r.bad = r.bad || len(d.Owned) == 0
		extra--
	}
	if !r.finish(extra) {
		return Declarations{}, errStructure
	}
	return d, nil
}

func (r *reader) indexes(t text) (out []Index) {
	for range r.list(indexBytes) {
		r.tuple(indexParts)
		out = append(out, Index{Name: t.at(r.text()), Unique: r.bool(), Fold: r.bool()})
	}
	return out
}

func (r *reader) providers(t text) (out []Provider) {
	for range r.list(providerBytes) {
		r.tuple(providerParts)
		out = append(out, Provider{Name: t.at(r.text()), Rule: t.at(r.text())})
	}
	return out
}
