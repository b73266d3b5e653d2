package importer

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Formats that a mapping reads.
const (
	formatCSV   = "csv"   // with a line of names
	formatJSON  = "json"  // one document
	formatJSONL = "jsonl" // one object a line
)

// maxMapping bounds a mapping file, in bytes.
const maxMapping = 256 << 10

// Mapping is a parsed mapping file: where the parts of a user are in the rows of an
// export. docs/MOVING.md describes the file.
type Mapping struct {
	Name    string   `json:"name"`
	Help    string   `json:"help"`
	Tried   string   `json:"tried"`
	Format  string   `json:"format"`
	Records []string `json:"records"`
	Params  []Param  `json:"params"`

	ID              choice          `json:"id"`
	Identities      []identityRule  `json:"identities"`
	Password        *passwordRules  `json:"password"`
	Created         *moment         `json:"created"`
	PasswordChanged *moment         `json:"password_changed"`
	Disabled        *disabledRule   `json:"disabled"`
	Attributes      map[string]path `json:"attributes"`
	Spread          map[string]path `json:"spread"`
	Rest            bool            `json:"rest"`
	Left            map[string]path `json:"left"`

	named map[string]bool // fields that other parts than Rest name
}

// An identityRule makes an identity, or one for each element of a list.
type identityRule struct {
	Each       path       `json:"each"`
	Split      string     `json:"split"` // Each is text with this between its elements
	When       conditions `json:"when"`
	Unless     conditions `json:"unless"`
	Provider   template   `json:"provider"`
	Identifier template   `json:"identifier"`
	Verified   *flag      `json:"verified"`
	Proven     bool       `json:"proven"` // verified always: the provider has answered
	Alias      bool       `json:"alias"`  // left out if another identity has the same text
	VerifiedAt *moment    `json:"verified_at"`
	Linked     *moment    `json:"linked"`
}

// passwordRules find the hash: the first rule that fits makes it.
type passwordRules struct {
	In        path           `json:"in"`    // a list; the rules are about the first element
	Where     conditions     `json:"where"` // that fits
	Present   template       `json:"present"`
	Algorithm template       `json:"algorithm"` // its name, for the refusal
	Rules     []passwordRule `json:"rules"`
}

type passwordRule struct {
	When   conditions `json:"when"`
	None   bool       `json:"none"` // there is no password
	Hash   template   `json:"hash"`
	Key    *keyRule   `json:"key"`
	Source template   `json:"source"`
	Pepper string     `json:"pepper"`
}

// A keyRule is a hash in parts; numbers that are left out are 0.
type keyRule struct {
	Scheme     template `json:"scheme"`
	Iterations template `json:"iterations"`
	N          template `json:"n"`
	R          template `json:"r"`
	P          template `json:"p"`
	MemoryKiB  template `json:"memory_kib"`
	Salt       template `json:"salt"`
	Key        template `json:"key"`
	Encoding   string   `json:"encoding"`      // of Key and, unless it has its own, Salt: base64, hex or text
	SaltAs     string   `json:"salt_encoding"` // likewise
}

type disabledRule struct {
	flag
	Until  *moment  `json:"until"` // disabled if that is to come
	Reason template `json:"reason"`
}

//go:embed mappings/*.json
var shippedFiles embed.FS

// shippedMappings parses the mapping files of the package, in the order of names.
func shippedMappings() ([]*Mapping, error) {
	entries, err := shippedFiles.ReadDir("mappings")
	if err != nil {
		return nil, err
	}
	out := make([]*Mapping, len(entries))
	for i, entry := range entries {
		data, err := shippedFiles.ReadFile("mappings/" + entry.Name())
		if err == nil {
			out[i], err = ParseMapping(data)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", entry.Name(), err)
		}
	}
	return out, nil
}

// ShippedMapping returns the file of a source that is a mapping, to begin one's own
// with, and whether there is one.
func ShippedMapping(name string) ([]byte, bool) {
	data, err := shippedFiles.ReadFile("mappings/" + filepath.Base(name) + ".json")
	return data, err == nil
}

// ParseMapping reads a mapping file. The error names the fault: an unknown name, a
// malformed path or template, a part that is missing.
func ParseMapping(data []byte) (*Mapping, error) {
	if len(data) > maxMapping {
		return nil, fmt.Errorf("mapping: longer than %d bytes", maxMapping)
	}
	if _, fault := parseObject(data, place{1, 1}); fault != nil {
		return nil, fmt.Errorf("mapping: %w", fault)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	m := &Mapping{}
	if err := d.Decode(m); err != nil {
		return nil, fmt.Errorf("mapping: %w", err)
	}
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("mapping: %w", err)
	}
	m.named = m.names()
	return m, nil
}

func (m *Mapping) info() Info {
	return Info{Name: m.Name, Help: m.Help, Tried: m.Tried, Params: m.Params}
}

// open reads a file by the mapping.
func (m *Mapping) open(_ context.Context, s *Source, at time.Time) (*Reader, error) {
	f, err := openText(s.Path)
	if err != nil {
		return nil, err
	}
	var records iter.Seq2[record, error]
	unit := "line"
	switch m.Format {
	case formatCSV:
		records = table(&f.counted, m.needs())
	case formatJSONL:
		records = lines(&f.counted)
	default:
		unit, records = "user", document(&f.counted, m.Records)
	}
	return f.reader(unit, m.rows(records, s.Params, at)), nil
}

// needs are the columns of the hash: without them, users would come in without a
// password and nothing would tell.
func (m *Mapping) needs() (out []string) {
	if m.Password != nil {
		m.Password.Present.paths(func(p path) { out = append(out, p[0]) })
	}
	return out
}

// rows maps records. Only a missing parameter ends it early.
func (m *Mapping) rows(records iter.Seq2[record, error], params map[string]string, at time.Time) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		for rec, err := range records {
			if err != nil {
				yield(Row{}, err)
				return
			}
			row := m.user(rec, params, at)
			if row.Refused != nil && row.Refused.Kind == errNoParam.Error() {
				yield(Row{}, fmt.Errorf("%s: %w: parameter %s", place{rec.row, 0}, errNoParam, row.Refused.Place))
				return
			}
			if !yield(row, nil) {
				return
			}
		}
	}
}

// openMapped opens a file by a mapping file of the user's own.
func openMapped(format string) opener {
	return func(ctx context.Context, s *Source, at time.Time) (*Reader, error) {
		if s.File == "" {
			return nil, errors.New("a mapping file must be given")
		}
		f, err := os.Open(s.File)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		data, err := io.ReadAll(io.LimitReader(f, maxMapping+1))
		if err != nil {
			return nil, err
		}
		m, err := ParseMapping(data)
		if err != nil {
			return nil, err
		}
		if m.Format != format {
			return nil, fmt.Errorf("the mapping is for %s", m.Format)
		}
		if err := checkParams(m.Params, s); err != nil {
			return nil, err
		}
		return m.open(ctx, s, at)
	}
}

// check reports the first part of a mapping that cannot be used.
func (m *Mapping) check() error {
	switch {
	case !slices.Contains([]string{formatCSV, formatJSON, formatJSONL}, m.Format):
		return errors.New("format must be csv, json or jsonl")
	case m.Format == formatJSON && len(m.Records) == 0:
		return errors.New("records must name the lists of users, \"\" for the document itself")
	case m.Format != formatJSON && len(m.Records) > 0:
		return errors.New("records is for format json")
	case len(m.Identities) == 0:
		return errors.New("identities must have a rule")
	}
	for i, x := range m.Identities {
		if err := x.check(); err != nil {
			return fmt.Errorf("identities[%d]: %w", i, err)
		}
	}
	for _, at := range []*moment{m.Created, m.PasswordChanged} {
		if err := at.check(); err != nil {
			return err
		}
	}
	if d := m.Disabled; d != nil {
		if err := d.Until.check(); err != nil {
			return fmt.Errorf("disabled: %w", err)
		}
		if len(d.Field) == 0 && d.Until == nil {
			return errors.New("disabled: field or until must be given")
		}
	}
	if m.Password == nil {
		return nil
	}
	return m.Password.check()
}

func (m *moment) check() error {
	if m == nil {
		return nil
	}
	if len(m.Field) == 0 {
		return errors.New("a time needs \"field\"")
	}
	return checkForms(m.As)
}

func (x *identityRule) check() error {
	switch {
	case x.Provider.empty() || x.Identifier.empty():
		return errors.New("provider and identifier must be given")
	case x.Split != "" && x.Each == nil:
		return errors.New("split is for each")
	case x.Verified != nil && len(x.Verified.Field) == 0:
		return errors.New("verified needs \"field\"")
	}
	return errors.Join(x.VerifiedAt.check(), x.Linked.check())
}

func (p *passwordRules) check() error {
	if p.Present.empty() || len(p.Rules) == 0 {
		return errors.New("password: present and rules must be given")
	}
	for i, r := range p.Rules {
		made := 0
		for _, given := range []bool{r.None, !r.Hash.empty(), r.Key != nil} {
			if given {
				made++
			}
		}
		if made != 1 {
			return fmt.Errorf("password.rules[%d]: one of none, hash and key must be given", i)
		}
		if k := r.Key; k != nil && (k.Scheme.empty() || k.Salt.empty() || k.Key.empty() || !k.encodings()) {
			return fmt.Errorf("password.rules[%d].key: scheme, salt and key must be given, encodings are base64, hex and text", i)
		}
	}
	return nil
}

func (k *keyRule) encodings() bool {
	known := []string{"", "base64", "hex", "text"}
	return slices.Contains(known, k.Encoding) && slices.Contains(known, k.SaltAs)
}
