package codec

// UserRef is what leads from a key to a user: a record of the spaces
// identities and attributes (there only under unique keys).
//
//	offset 9  text UserID
type UserRef struct{ UserID string }

const userRefFields = 1

// Append appends the value of r under a key of a space to dst.
func (r *UserRef) Append(dst []byte, space string, key []byte) []byte {
	start := len(dst)
	dst = begin(dst, userRefFields)
	dst = appendText(dst, r.UserID)
	return seal(dst, start, seedOf(space), key)
}

// DecodeUserRef decodes the value under a key of a space. Errors are
// ErrCorrupt and ErrNewer.
func DecodeUserRef(space string, key, value []byte) (UserRef, error) {
	extra, err := open(seedOf(space), key, value, userRefFields)
	if err != nil {
		return UserRef{}, err
	}
	r := reader{value: value, off: offFields}
	user := r.text()
	if !r.finish(extra) {
		return UserRef{}, errStructure
	}
	return UserRef{UserID: string(value[user.from:user.to])}, nil
}

// Format is what a file says of itself, under KeyFormat. It is written when
// the file is made and by upgrades.
//
//	offset 9  text Application, cf + 8 Version, cf + 8 MinReader,
//	          d3 + 8 CreatedAt, text Unicode
type Format struct {
	Application string // the same in every file of this library
	Version     uint64 // of the format of the whole file
	MinReader   uint64 // the least format that a program must know to use it
	CreatedAt   int64  // Unix milliseconds
	Unicode     string // version of the tables that folded keys were made with
}

const formatFields = 5

// Append appends the value of r, whose key is KeyFormat, to dst.
func (r *Format) Append(dst []byte) []byte {
	start := len(dst)
	dst = begin(dst, formatFields)
	dst = appendText(dst, r.Application)
	dst = appendUint64(dst, r.Version)
	dst = appendUint64(dst, r.MinReader)
	dst = appendInt64(dst, r.CreatedAt)
	dst = appendText(dst, r.Unicode)
	return seal(dst, start, seedFormat, "")
}

// DecodeFormat decodes the value under KeyFormat. Errors are ErrCorrupt and
// ErrNewer.
func DecodeFormat(value []byte) (Format, error) {
	extra, err := open(seedFormat, nil, value, formatFields)
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

// State is what changes in a file beside its records, under KeyState.
//
//	offset  9  cf + 8  Epoch
//	       18  d3 + 8  Floor
//	       27  cf + 8  ForeignHashes
type State struct {
	Epoch         uint64 // raised to end all sessions and tokens at once
	Floor         int64  // Unix milliseconds before which the clock never goes
	ForeignHashes uint64 // users whose password hash came from another system
}

const stateFields = 3

// Append appends the value of r, whose key is KeyState, to dst.
func (r *State) Append(dst []byte) []byte {
	start := len(dst)
	dst = begin(dst, stateFields)
	dst = appendUint64(dst, r.Epoch)
	dst = appendInt64(dst, r.Floor)
	dst = appendUint64(dst, r.ForeignHashes)
	return seal(dst, start, seedState, "")
}

// DecodeState decodes the value under KeyState, without an allocation: every
// transaction reads it. Errors are ErrCorrupt and ErrNewer.
func DecodeState(value []byte) (State, error) {
	extra, err := open(seedState, nil, value, stateFields)
	if err != nil {
		return State{}, err
	}
	r := reader{value: value, off: offFields}
	s := State{
		Epoch:         r.uint64(),
		Floor:         r.int64(),
		ForeignHashes: r.uint64(),
	}
	if !r.finish(extra) {
		return State{}, errStructure
	}
	return s, nil
}

// Declarations are the indexes and identifier rules that the keys of a file
// were made with, under KeyDeclarations. Both lists keep their order.
//
//	offset 9  dc + 2 + Indexes, dc + 2 + Providers
type Declarations struct {
	Indexes   []Index    // nil if there are none
	Providers []Provider // nil if there are none
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
	declarationsFields = 2
	indexParts         = 3
	indexBytes         = 1 + 2 + 2*1
	providerParts      = 2
	providerBytes      = 1 + 2*2
)

// Append appends the value of r, whose key is KeyDeclarations, to dst.
func (r *Declarations) Append(dst []byte) []byte {
	start := len(dst)
	dst = begin(dst, declarationsFields)
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
	return seal(dst, start, seedDeclarations, "")
}

// DecodeDeclarations decodes the value under KeyDeclarations. Errors are
// ErrCorrupt and ErrNewer.
func DecodeDeclarations(value []byte) (Declarations, error) {
	extra, err := open(seedDeclarations, nil, value, declarationsFields)
	if err != nil {
		return Declarations{}, err
	}
	r := reader{value: value, off: offFields}
	t := copyText(nil, value, offFields, len(value))
	d := Declarations{Indexes: r.indexes(t), Providers: r.providers(t)}
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
