package proof_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/text/unicode/norm"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/internal/accounttest"
	"github.com/snibdb/snib/snibtest"
)

// A grep finds many needles in a file at once: it holds them by their first
// eight bytes.
type grep struct {
	needles map[[8]byte][]needle
	n       int
}

type needle struct{ what, text string }

// add makes g find text, in pieces of 16 bytes: the half of a secret is one
// too many.
func (g *grep) add(what, text string) {
	const piece = 16
	for len(text) >= 2*piece {
		g.whole(what, text[:piece])
		text = text[piece:]
	}
	g.whole(what, text)
}

// whole makes g find text in one piece.
func (g *grep) whole(what, text string) {
	if g.needles == nil {
		g.needles = make(map[[8]byte][]needle)
	}
	begin := [8]byte([]byte(text)) // panics if it is too short to be told from chance
	g.needles[begin] = append(g.needles[begin], needle{what, text})
	g.n++
}

// in returns what is found.
func (g *grep) in(haystack []byte) (found []string) {
	for i := range len(haystack) - 8 + 1 {
		for _, n := range g.needles[[8]byte(haystack[i:i+8])] {
			if bytes.HasPrefix(haystack[i:], []byte(n.text)) && !slices.Contains(found, n.what) {
				found = append(found, n.what)
			}
		}
	}
	return found
}

// encodings are the forms in which bytes can be used again.
func encodings(b []byte) map[string]string {
	out := map[string]string{"raw": string(b), "hex": hex.EncodeToString(b), "HEX": strings.ToUpper(hex.EncodeToString(b))}
	for name, e := range map[string]*base64.Encoding{"base64": base64.RawStdEncoding, "base64url": base64.RawURLEncoding} {
		for shift := range 3 {
			// What stays of b when shift bytes stand before it and others
			// behind: all characters that b alone decides.
			text := e.EncodeToString(append(make([]byte, shift), b...))
			from, to := (shift*8+5)/6, (shift+len(b))*8/6
			out[fmt.Sprint(name, " shifted by ", shift)] = text[from:to]
		}
	}
	return out
}

// token makes g find a token in every form.
func (g *grep) token(tb testing.TB, what string, t snib.Token) {
	tb.Helper()
	text := t.Reveal()
	if text == "" {
		tb.Fatalf("%s: no token", what)
	}
	_, digits, _ := strings.Cut(text, ".")
	g.whole(what+", whole", text)
	g.add(what+", base32", digits)
	g.add(what+", BASE32", strings.ToUpper(digits))
	secret := secretOf(tb, text)
	for _, part := range [][]byte{[]byte(text), secret} {
		for form, s := range encodings(part) {
			g.add(what+", "+form, strings.TrimPrefix(s, text[:33])) // the id is public
		}
	}
}

// password makes g find a password, as it came and in NFKC.
func (g *grep) password(what, p string) {
	for _, p := range []string{p, norm.NFKC.String(p), norm.NFD.String(p), strings.ToLower(p)} {
		for form, s := range encodings([]byte(p)) {
			g.whole(what+", "+form, s)
		}
	}
}

// A longRun is a database in use for a while, and all it has issued.
type longRun struct {
	testing.TB
	rand  *rand.Rand
	clock *snibtest.Clock
	path  string
	db    *snib.DB
	users []account
	said  bytes.Buffer // errors, log lines, reports

	secrets, private grep // what must not be in the file; in what is said
}

type account struct {
	id                snib.UserID
	address, password string
	session           snib.Token
	refresh, last     snib.Token
}

func (r *longRun) open() {
	opts := snibtest.Fast(&snib.Options{Now: r.clock.Now, Logger: slog.New(slog.NewTextHandler(&r.said, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	r.db = must(snib.Open(r.path, opts))(r)
}

// reopen notes what the database says of itself, and opens it again.
func (r *longRun) reopen() {
	report, err := r.db.Check(ctx)
	stats := must(r.db.Stats(ctx))(r)
	fmt.Fprintf(&r.said, "%+v %v %+v\n", report, err, stats)
	if err := errors.Join(err, r.db.Close()); err != nil {
		r.Fatal(err)
	}
	r.grepFile()
	r.open()
}

// grepFile looks for all secrets in the whole file.
func (r *longRun) grepFile() {
	r.Helper()
	file := must(os.ReadFile(r.path))(r)
	if found := r.secrets.in(file); len(found) > 0 {
		r.Fatalf("in the file: %q", found)
	}
}

// failed notes the text of an error that is expected.
func (r *longRun) failed(err error, want error) {
	r.Helper()
	wantErr(r, err, want)
	fmt.Fprintln(&r.said, err)
}

// newPassword draws one; some change under NFKC.
func (r *longRun) newPassword() string {
	p := fmt.Sprintf("%016x-pass", r.rand.Uint64())
	if r.rand.IntN(3) == 0 {
		p = "ﬁⅧé" + p + "ａＢ"
	}
	r.secrets.password("a password", p)
	r.private.whole("a password", p)
	return p
}

func (r *longRun) issued(what string, tokens ...snib.Token) {
	r.Helper()
	for _, t := range tokens {
		r.secrets.token(r, what, t)
		r.private.token(r, what, t)
	}
}

// arrive makes a user, of here or of elsewhere, and logs in.
func (r *longRun) arrive(i int) {
	a := account{address: fmt.Sprintf("user%06d-%08x@example.com", i, r.rand.Uint32()), password: r.newPassword()}
	r.private.whole("an identifier", a.address)
	if i%4 == 0 {
		hash := must(bcrypt.GenerateFromPassword([]byte(a.password), 4))(r)
		r.private.whole("a hash", string(hash[7:]))
		a.id = must(r.db.ImportUser(ctx, snib.UserImport{Provider: "email", Identifier: a.address, PasswordHash: string(hash)}))(r).ID
	} else {
		a.id = must(r.db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: a.address, Password: a.password}))(r).ID
	}
	s, _, err := r.db.LogIn(ctx, "email", a.address, a.password, snib.SessionOptions{Attributes: snib.Attributes{"agent": "plain text of a session"}})
	if err != nil {
		r.Fatal(err)
	}
	_, f, err := r.db.CreateRefreshToken(ctx, asNow(r, r.db, a.id), snib.SessionOptions{})
	if err != nil {
		r.Fatal(err)
	}
	a.session, a.refresh = s.Token, f.Token
	r.issued("a session", s.Token)
	r.issued("a refresh token", f.Token)
	for _, part := range strings.Split(storedHash(r, r.db, a.id), "$")[4:] {
		r.private.whole("a hash", part)
	}
	r.users = append(r.users, a)
}

// live does one thing that a user does.
func (r *longRun) live(a *account) {
	switch r.rand.IntN(8) {
	case 0:
		s := must(r.db.RenewSession(ctx, a.session.Reveal()))(r)
		r.failed(second(r.db.ValidateSession(ctx, a.session.Reveal())), snib.ErrInvalidSession)
		a.session = s.Token
		r.issued("a renewed session", s.Token)
	case 1:
		must(r.db.ExtendSession(ctx, a.session.Reveal()))(r)
	case 2, 3:
		for range 2 { // the answer was lost
			s, f, err := r.db.Refresh(ctx, a.refresh.Reveal())
			if err != nil {
				r.Fatal(err)
			}
			r.issued("a refreshed session", s.Token)
			r.issued("a successor", f.Token)
			a.last = f.Token
		}
		a.refresh = a.last
	case 4:
		link, err := r.db.Tokens().Create(ctx, a.id, "reset", time.Hour, []byte("data in plain text"))
		if errors.Is(err, snib.ErrOneTimeTokenLimit) {
			break
		}
		if err != nil {
			r.Fatal(err)
		}
		r.issued("a one-time token", link.Token)
		if r.rand.IntN(2) == 0 {
			must(r.db.Tokens().Use(ctx, "reset", link.Token.Reveal()))(r)
			r.failed(second(r.db.Tokens().Use(ctx, "reset", link.Token.Reveal())), snib.ErrInvalidOneTimeToken)
		}
	case 5:
		p := r.newPassword()
		current := must(r.db.GetUser(ctx, a.id))(r)
		s := must(r.db.CreateSession(ctx, current, snib.SessionOptions{}))(r)
		r.issued("a session", s.Token)
		r.issued("a session", must(r.db.ChangePassword(ctx, s.Token.Reveal(), a.password, p))(r).Token)
		r.failed(second(r.db.AuthenticateUser(ctx, "email", a.address, a.password)), snib.ErrInvalidCredentials)
		r.failed(second(r.db.CreateSession(ctx, current, snib.SessionOptions{})), snib.ErrInvalidCredentials)
		a.password = p
		r.enter(a)
	case 6:
		must(r.db.AuthenticateUser(ctx, "email", a.address, a.password))(r)
		r.failed(second(r.db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: a.address})), snib.ErrIdentityTaken)
		r.failed(second(r.db.LinkIdentity(ctx, a.id, "email", a.address+" ")), snib.ErrInvalidInput)
		r.failed(second(r.db.UpdateUserPassword(ctx, a.id, a.password+"\x00")), snib.ErrInvalidInput)
		r.failed(second(r.db.ImportUser(ctx, snib.UserImport{Provider: "email", Identifier: "x@y", PasswordHash: "$2b$99$" + a.password})), snib.ErrInvalidInput)
	case 7:
		r.clock.Advance(time.Duration(r.rand.IntN(60)) * time.Second)
		must(r.db.DisableUser(ctx, a.id, "for a while"))(r)
		r.failed(second(r.db.AuthenticateUser(ctx, "email", a.address, a.password)), snib.ErrInvalidCredentials)
		must(r.db.EnableUser(ctx, a.id))(r)
		r.enter(a)
	}
}

// enter logs a user in again, whose sessions and families have ended.
func (r *longRun) enter(a *account) {
	s, u, err := r.db.LogIn(ctx, "email", a.address, a.password, snib.SessionOptions{})
	if err != nil {
		r.Fatal(err)
	}
	_, f, err := r.db.CreateRefreshToken(ctx, u, snib.SessionOptions{})
	if err != nil {
		r.Fatal(err)
	}
	r.issued("a session", s.Token)
	r.issued("a refresh token", f.Token)
	a.session, a.refresh = s.Token, f.Token
	d := must(r.db.Devices().Remember(ctx, s))(r)
	r.issued("a device", d.Token)
	on := snib.WithDevice(ctx, d.Token.Reveal())
	r.failed(second(r.db.AuthenticateUser(on, "email", a.address, a.password+"x")), snib.ErrInvalidCredentials)
	r.issued("a trusted device", must(r.db.Devices().Trust(on, s, time.Hour))(r).Token)
	r.failed(second(r.db.Devices().Current(on, a.id)), snib.ErrDeviceNotFound)
}

func TestNoSecretIsEverInTheFile(t *testing.T) {
	r := &longRun{TB: t, rand: securityRand(t), clock: snibtest.NewClock(), path: filepath.Join(t.TempDir(), "a.db")}
	r.open()
	t.Cleanup(func() { snibtest.CheckAndClose(t, r.db) })
	const users = 200
	for i := range users {
		r.arrive(i)
		for range 4 {
			r.live(&r.users[r.rand.IntN(len(r.users))])
		}
		switch i % 40 {
		case 19:
			r.reopen()
		case 29:
			j := r.rand.IntN(len(r.users))
			if err := r.db.DeleteUser(ctx, r.users[j].id); err != nil {
				t.Fatal(err)
			}
			r.users = slices.Delete(r.users, j, j+1)
		case 39:
			r.reuse()
		}
	}
	r.grepFile() // while it is open
	if err := r.db.EndEverything(ctx); err != nil {
		t.Fatal(err)
	}
	r.damage()
	r.reopenDamaged()
	r.grepFile()
	t.Logf("%d needles in %d bytes", r.secrets.n, len(must(os.ReadFile(r.path))(t)))
	if r.secrets.n < 50*users {
		t.Errorf("only %d needles", r.secrets.n)
	}
	if found := r.private.in(r.said.Bytes()); len(found) > 0 {
		t.Errorf("errors, log lines, reports or statistics contain %q", found)
	}
	for _, line := range []string{"was reused", "cannot be used", "identity is taken", "ForeignHashes", "INV-"} {
		if !bytes.Contains(r.said.Bytes(), []byte(line)) {
			t.Errorf("nobody has said %q, so this run is too tame", line)
		}
	}
	r.plantedIsFound()
}

// reuse presents a spent refresh token, so that its family is revoked.
func (r *longRun) reuse() {
	a := &r.users[r.rand.IntN(len(r.users))]
	spent := a.refresh
	for range 2 {
		s, f, err := r.db.Refresh(ctx, a.refresh.Reveal())
		if err != nil {
			r.Fatal(err)
		}
		r.issued("a refreshed session", s.Token)
		r.issued("a successor", f.Token)
		a.refresh = f.Token
	}
	r.failed(thirdError(r.db.Refresh(ctx, spent.Reveal())), snib.ErrRefreshTokenReused)
	r.failed(thirdError(r.db.Refresh(ctx, a.refresh.Reveal())), snib.ErrRefreshTokenReused)
	r.enter(a)
}

func thirdError[A, B any](_ A, _ B, err error) error { return err }

// damage breaks what Check and the log will speak of: a hash that cannot be
// used, a record that cannot be read.
func (r *longRun) damage() {
	a, b := r.users[0], r.users[1]
	salt := strings.Split(storedHash(r, r.db, a.id), "$")[4]
	r.private.whole("a hash", salt)
	accounttest.StoreHash(r, r.db, a.id, "$argon2id$"+salt)
	r.failed(second(r.db.AuthenticateUser(ctx, "email", a.address, a.password)), snib.ErrInvalidCredentials)
	err := r.db.Update(ctx, func(tx *snib.Tx) error {
		users := tx.Bolt().Bucket([]byte("snib")).Bucket([]byte("users"))
		value := bytes.Clone(users.Get([]byte(b.id)))
		value[len(value)-1] ^= 1
		return users.Put([]byte(b.id), value)
	})
	if err != nil {
		r.Fatal(err)
	}
	r.failed(second(r.db.AuthenticateUser(ctx, "email", b.address, b.password)), snib.ErrCorrupt)
	r.failed(second(r.db.GetUser(ctx, b.id)), snib.ErrCorrupt)
}

// reopenDamaged lets Check speak, mends what was damaged, and opens again.
func (r *longRun) reopenDamaged() {
	report, err := r.db.Check(ctx)
	r.failed(err, snib.ErrCorrupt)
	fmt.Fprintf(&r.said, "%+v %s\n", report, report.Problems[0])
	for _, p := range report.Problems {
		fmt.Fprintln(&r.said, p)
	}
	err = r.db.Update(ctx, func(tx *snib.Tx) error {
		users := tx.Bolt().Bucket([]byte("snib")).Bucket([]byte("users"))
		value := bytes.Clone(users.Get([]byte(r.users[1].id)))
		value[len(value)-1] ^= 1
		return users.Put([]byte(r.users[1].id), value)
	})
	if err != nil {
		r.Fatal(err)
	}
	must(r.db.UpdateUserPassword(ctx, r.users[0].id, r.newPassword()))(r)
	r.reopen()
}

// plantedIsFound shows that the same search finds what is there: identifiers
// and attributes in clear, what was deleted and lies in free pages, and every
// form of every secret once somebody stores it.
func (r *longRun) plantedIsFound() {
	r.Helper()
	var clear grep
	last := r.users[len(r.users)-1]
	clear.whole("identifier", last.address)
	clear.whole("attribute", "plain text of a session")
	clear.whole("deleted", "a marker in a page that is free")
	for _, value := range []any{strings.Repeat("a marker in a page that is free ", 500), nil} {
		must(r.db.UpdateUserAttributes(ctx, last.id, snib.Attributes{"marker": value}))(r)
	}
	if keys := mentions(r, r.db, "a marker in a page"); len(keys) != 0 {
		r.Errorf("the marker is not deleted: %q", keys)
	}
	if found := clear.in(must(os.ReadFile(r.path))(r)); len(found) != 3 {
		r.Errorf("of identifier, attribute and deleted attribute only %q is found", found)
	}
	if found := r.private.in([]byte("x" + last.address + last.password)); len(found) != 2 {
		r.Errorf("of an identifier and a password in a log only %q is found", found)
	}

	copied := filepath.Join(r.TempDir(), "copy.db")
	if err := os.WriteFile(copied, must(os.ReadFile(r.path))(r), 0o600); err != nil {
		r.Fatal(err)
	}
	text := last.session.Reveal()
	secret := secretOf(r, text)
	plant(r, copied, map[string][]byte{
		"whole": []byte(text), "digits": []byte(text[33:]), "raw": secret, "half": secret[:16], "other half": secret[16:],
		"hex": []byte(hex.EncodeToString(secret)), "HEX": fmt.Appendf(nil, "%X", secret), "password": []byte(last.password),
		"NFKC": []byte(norm.NFKC.String(last.password)), "base64": []byte(base64.StdEncoding.EncodeToString(secret)),
		"shifted by 1": []byte(base64.StdEncoding.EncodeToString(append([]byte("x"), secret...))),
		"shifted by 2": []byte(base64.URLEncoding.EncodeToString(append([]byte("xx"), append(secret, "xyz"...)...))),
		"of the text":  []byte(base64.StdEncoding.EncodeToString([]byte("token=" + text))),
	}, &r.secrets)
}

// plant stores each value in a bucket of its own file and expects g to find
// it.
func plant(tb testing.TB, path string, values map[string][]byte, g *grep) {
	tb.Helper()
	for name, value := range values {
		b := must(bbolt.Open(path, 0o600, &bbolt.Options{NoSync: true}))(tb)
		err := b.Update(func(tx *bbolt.Tx) error {
			tx.DeleteBucket([]byte("planted"))
			planted, err := tx.CreateBucket([]byte("planted"))
			return errors.Join(err, planted.Put([]byte("x"), append(append([]byte("<"), value...), '>')))
		})
		if err := errors.Join(err, b.Close()); err != nil {
			tb.Fatal(err)
		}
		page := must(os.ReadFile(path))(tb)
		at := bytes.Index(page, append(append([]byte("<"), value...), '>'))
		if at < 0 {
			tb.Fatalf("%s was not planted", name)
		}
		if found := g.in(page[at : at+len(value)+2]); len(found) == 0 {
			tb.Errorf("a stored secret, %s, is not found", name)
		}
	}
}
