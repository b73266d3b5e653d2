package proof_test

import (
	"bytes"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"
	"text/template"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibtest"
)

// window is how many characters of a secret in one piece count as shown.
const window = 12

// A canary finds parts of secret texts: any 12 characters of them, as they
// are and in the ways in which fmt writes bytes. It holds them by their
// beginning.
type canary map[[window]byte][]string

// add makes c find text.
func (c canary) add(text string) {
	for i := range len(text) - window + 1 {
		part := text[i : i+window]
		spread := fmt.Sprint([]byte(part))
		for _, form := range []string{part, hex.EncodeToString([]byte(part)), fmt.Sprintf("%X", part), fmt.Sprintf("% x", part), spread[1 : len(spread)-1]} {
			begin := [window]byte([]byte(form))
			c[begin] = append(c[begin], form)
		}
	}
}

// in reports whether out has a part of a secret.
func (c canary) in(out string) bool {
	for i := range len(out) - window + 1 {
		for _, form := range c[[window]byte([]byte(out[i:i+window]))] {
			if strings.HasPrefix(out[i:], form) {
				return true
			}
		}
	}
	return false
}

type (
	exported   struct{ Token snib.Token }
	unexported struct{ token snib.Token }
	embedded   struct{ snib.Token }
	pointers   struct {
		Token *snib.Token
		token *snib.Token
		any   any
		hash  snib.PasswordHash
	}
	deep struct {
		m map[string]map[snib.Token][]any
		s []snib.Session
		f func() snib.Token
	}
)

// secretHolders returns values that hold secrets in all the ways in which a
// program may, and the canary that finds them.
func secretHolders(tb testing.TB) (map[string]any, canary) {
	tb.Helper()
	db := snibtest.NewDB(tb, nil)
	hash := must(db.HashPassword(ctx, password))(tb)
	u := must(db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: "a@example.com", PasswordHash: hash}))(tb)
	s := logIn(tb, db, "a@example.com")
	_, refresh, err := db.CreateRefreshToken(ctx, u, snib.SessionOptions{})
	if err != nil {
		tb.Fatal(err)
	}
	link := must(db.Tokens().Create(ctx, u.ID, "reset", time.Hour, []byte("data")))(tb)
	c := make(canary)
	device := must(db.Devices().Remember(ctx, s))(tb)
	for _, token := range []snib.Token{s.Token, refresh.Token, link.Token, device.Token} {
		_, secret, _ := strings.Cut(token.Reveal(), ".")
		c.add(secret)
	}
	stored := strings.Split(storedHash(tb, db, u.ID), "$")
	c.add(strings.Join(stored[len(stored)-2:], "$"))

	t, b := s.Token, link.Token
	holders := map[string]any{
		"token": t, "pointer": &t, "hash": hash, "pointer to hash": &hash,
		"session": s, "pointer to session": &s, "refresh": refresh, "one-time": link, "pointer to one-time": &link,
		"device": device, "proof in a context": snib.WithProof(ctx, t.Reveal()), "device in a context": snib.WithDevice(ctx, device.Token.Reveal()),
		"exported": exported{t}, "unexported": unexported{t}, "embedded": embedded{t}, "pointer to embedded": &embedded{t},
		"pointers": pointers{&t, &b, t, hash}, "pointer to pointers": &pointers{&t, &b, &t, hash},
		"slice": []snib.Token{t, b}, "array": [2]snib.Token{t, b}, "slice of any": []any{t, &b, hash, &s},
		"map value": map[string]snib.Token{"t": t}, "map key": map[snib.Token]int{t: 1}, "map of any": map[any]any{t: b, "h": hash},
		"hash as key": map[snib.PasswordHash]bool{hash: true}, "sessions": []*snib.Session{&s}, "session as value": map[int]snib.Session{1: s},
		"deep":     deep{map[string]map[snib.Token][]any{"x": {t: {t, []any{&b}}}}, []snib.Session{s}, func() snib.Token { return t }},
		"new user": snib.NewUser{PasswordHash: hash}, "pointer to new user": &snib.NewUser{PasswordHash: hash},
		"error":           fmt.Errorf("with %v: %w", t, errors.Join(fmt.Errorf("%+v", s))),
		"anonymous":       struct{ t, T any }{t, t},
		"unexported deep": struct{ s []unexported }{[]unexported{{t}}},
		"unexported any":  struct{ a []any }{[]any{t, &t, s, &s, hash}},
	}
	return holders, c
}

func TestCanaryFindsWhatIsRevealed(t *testing.T) {
	holders, c := secretHolders(t)
	text := holders["token"].(snib.Token).Reveal()
	for _, out := range []string{text, fmt.Sprintf("%x", text), fmt.Sprintf("%X", text), fmt.Sprintf("%v", []byte(text)), fmt.Sprintf("% x", text), text[50:]} {
		if !c.in(out) {
			t.Errorf("not found in %q", out)
		}
	}
}

func TestNoVerbShowsASecret(t *testing.T) {
	holders, c := secretHolders(t)
	flags := []string{"", "+", "#", "+#", "-", " ", "# ", "0", "200", "-200", ".3", "200.100", "[1]"}
	for name, v := range holders {
		for verb := 'A'; verb <= 'z'; verb++ {
			var out strings.Builder
			for _, flag := range flags {
				fmt.Fprintf(&out, "%"+flag+string(verb)+"\n", v)
			}
			if c.in(out.String()) {
				t.Errorf("%%%c of %s, with or without flags, shows a secret", verb, name)
			}
		}
		if c.in(fmt.Sprint(v)) || c.in(fmt.Sprintln(v, v)) {
			t.Errorf("%s printed shows a secret", name)
		}
	}
}

func TestTokenPrintsAsREDACTED(t *testing.T) {
	holders, _ := secretHolders(t)
	for _, name := range []string{"token", "pointer", "hash", "pointer to hash"} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%X"} {
			if out := fmt.Sprintf(verb, holders[name]); out != "REDACTED" {
				t.Errorf("%s of %s is %s", verb, name, out)
			}
		}
		if out := string(must(json.Marshal(holders[name]))(t)); out != `"REDACTED"` {
			t.Errorf("JSON of %s is %s", name, out)
		}
	}
	if !strings.Contains(fmt.Sprintf("%+v", holders["session"]), "Token:REDACTED") {
		t.Error("a printed Session does not say that there is a token")
	}
	var zero snib.Token
	if zero.Reveal() != "" || fmt.Sprint(zero) != "REDACTED" {
		t.Errorf("the zero Token reveals %q and prints %v", zero.Reveal(), zero)
	}
}

func TestNoEncodingShowsASecret(t *testing.T) {
	holders, c := secretHolders(t)
	gob.Register(snib.Token{})
	encodings := map[string]func(w io.Writer, v any) error{
		"JSON":    func(w io.Writer, v any) error { return json.NewEncoder(w).Encode(v) },
		"XML":     func(w io.Writer, v any) error { return xml.NewEncoder(w).Encode(v) },
		"gob":     func(w io.Writer, v any) error { return gob.NewEncoder(w).Encode(v) },
		"msgpack": func(w io.Writer, v any) error { return msgpack.NewEncoder(w).Encode(v) },
		"template": func(w io.Writer, v any) error {
			return template.Must(template.New("").Parse(`{{.}} {{printf "%s %q %#v" . . .}} {{js .}} {{html .}} {{urlquery .}}`)).Execute(w, v)
		},
		"slog text": func(w io.Writer, v any) error { return logged(slog.NewTextHandler(w, nil), v) },
		"slog JSON": func(w io.Writer, v any) error { return logged(slog.NewJSONHandler(w, nil), v) },
	}
	for name, encode := range encodings {
		done := 0
		for holder, v := range holders {
			var out bytes.Buffer
			err := encode(&out, v)
			if c.in(out.String()) || err != nil && c.in(err.Error()) {
				t.Errorf("%s of %s shows a secret", name, holder)
			}
			if err == nil {
				done++
			}
		}
		if done == 0 && name != "gob" {
			t.Errorf("%s encoded nothing at all", name)
		}
	}
}

// logged logs v as an attribute in all the ways there are.
func logged(h slog.Handler, v any) error {
	l := slog.New(h)
	l.Info("m", "v", v)
	l.With("v", v).WithGroup("g").Info("m", slog.Group("g", "v", v), slog.Any("w", []any{v}))
	l.Info(fmt.Sprint(v), "error", fmt.Errorf("%v", v))
	return nil
}

// What a user has typed is in no log by accident.
func TestNoLogShowsWhatIsPersonal(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	c := make(canary)
	personal := func(text string) string { c.add(text); return text }
	address, phrase := personal("ada.lovelace@example.com"), personal("a passphrase of Ada's")
	about := snib.Attributes{"about": personal("writes programs for an engine")}
	created := snib.NewUser{Provider: "email", Identifier: address, Password: phrase, Attributes: about}
	imported := snib.UserImport{ID: "old-4711", Provider: "email", Identifier: address, PasswordHash: personal("$argon2id$v=19$m=8"), Attributes: about,
		Others: []snib.Identity{{Provider: "phone", Identifier: personal("+44 20 7946 0958")}}, DisabledReason: personal("has not paid since May")}
	must(db.CreateUser(ctx, created))(t)
	u := must(db.AuthenticateUser(ctx, "email", address, phrase))(t)
	disabled := must(db.DisableUser(ctx, email(t, db, "b@example.com").ID, imported.DisabledReason))(t)
	s, refresh, err := db.CreateRefreshToken(ctx, u, snib.SessionOptions{Attributes: snib.Attributes{"user_agent": personal("Mozilla/5.0 (Difference Engine)")}})
	if err != nil {
		t.Fatal(err)
	}
	link := must(db.Tokens().Create(ctx, u.ID, "change-email", time.Hour, []byte(personal("countess@example.com"))))(t)

	guest, _, err := db.Identities().CreateGuest(ctx, snib.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	merged := must(db.Identities().Merge(ctx, s.Token.Reveal(), guest.Token.Reveal()))(t)
	_, secret, _ := strings.Cut(merged.Session.Token.Reveal(), ".")
	personal(secret)

	device := must(db.Devices().Remember(ctx, merged.Session))(t)
	logIns, events := must(db.Logins().List(ctx, u.ID))(t), must(db.Events().List(ctx, u.ID))(t)
	if len(logIns) == 0 || !strings.Contains(events[len(events)-1].Detail, address) {
		t.Fatalf("%d log-ins, of the first event: %s", len(logIns), events[len(events)-1].Detail)
	}
	_, secret, _ = strings.Cut(device.Token.Reveal(), ".")
	personal(secret)

	for name, v := range map[string]any{"device": device, "log-in": logIns[0], "event": events[len(events)-1], "merged": merged, "user": u, "disabled": disabled, "new": created, "import": imported, "session": s, "refresh": refresh, "one-time": link} {
		for _, held := range []any{v, &v, []any{v}, map[string]any{"v": v}, struct{ V any }{v}, fmt.Errorf("about %v: %w", v, fmt.Errorf("%+v", v))} {
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "% X", "%d"} {
				if out := fmt.Sprintf(verb, held); c.in(out) {
					t.Errorf("%s of %s in %T: %s", verb, name, held, out)
				}
			}
		}
		var out bytes.Buffer
		for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
			slog.New(h).Info("m", "v", v, slog.Group("g", "v", v))
		}
		if c.in(out.String()) {
			t.Errorf("slog of %s: %s", name, out.String())
		}
	}
	for v, want := range map[any]string{&u: string(u.ID), &imported: "old-4711", &s: string(s.ID), &refresh: string(refresh.ID), &link: "change-email"} {
		if out := fmt.Sprintf("%+v", v); !strings.Contains(out, want) {
			t.Errorf("%s is not in %s", want, out)
		}
	}
}

// The runtime prints the value of a panic by itself, so a process of its own
// must die for this.
func TestPanicShowsNoSecret(t *testing.T) {
	if name := os.Getenv("SNIB_TEST_PANIC"); name != "" {
		holders, _ := secretHolders(t)
		fmt.Println("token:", holders["token"].(snib.Token).Reveal())
		go panic(holders[name])
		select {}
	}
	for _, name := range []string{"token", "pointer", "session", "embedded", "hash", "error", "map key"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(os.Args[0], "-test.run=^TestPanicShowsNoSecret$")
			cmd.Env = append(os.Environ(), "SNIB_TEST_PANIC="+name)
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			if err := cmd.Run(); err == nil {
				t.Fatal("the process did not panic")
			}
			_, token, ok := strings.Cut(stdout.String(), "token: ")
			if !ok || !strings.Contains(stderr.String(), "panic: ") {
				t.Fatalf("no token or no panic:\n%s", stderr.String())
			}
			c := make(canary)
			_, secret, _ := strings.Cut(strings.Fields(token)[0], ".")
			c.add(secret)
			if c.in(stderr.String()) {
				t.Error("the panic shows the secret")
			}
		})
	}
}

func TestGetSessionAndRefreshTokensListShowNoToken(t *testing.T) {
	db := snibtest.NewDB(t, nil)
	u := email(t, db, "a@example.com")
	s := logIn(t, db, "a@example.com")
	read := []snib.Session{must(db.ValidateSession(ctx, s.Token.Reveal()))(t), must(db.GetSession(ctx, s.ID))(t), must(db.ExtendSession(ctx, s.Token.Reveal()))(t)}
	read = append(read, must(db.ListUserSessions(ctx, u.ID))(t)...)
	for i, got := range read {
		if got.Token.Reveal() != "" || got.ID != s.ID {
			t.Errorf("read %d: session %s with a token %t", i, got.ID, got.Token.Reveal() != "")
		}
	}
	link := must(db.Tokens().Create(ctx, u.ID, "reset", time.Hour, nil))(t)
	if used := must(db.Tokens().Use(ctx, "reset", link.Token.Reveal()))(t); used.Token.Reveal() != "" {
		t.Error("a used one-time token can be revealed again")
	}
	_, refresh, err := db.CreateRefreshToken(ctx, u, snib.SessionOptions{})
	if list := must(db.RefreshTokens().List(ctx, u.ID))(t); err != nil || len(list) != 1 || list[0].ID != refresh.ID || list[0].Token.Reveal() != "" {
		t.Errorf("the list of refresh tokens: %v, %v", list, err)
	}
}
