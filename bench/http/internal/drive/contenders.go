// Package drive starts the servers of the comparison and sends them requests: see
// the README.
package drive

import (
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// A Contender is a server under one setting.
type Contender struct {
	Name, Module string // Module is the folder of its program
	Library      string // the module that is measured
	Sync         string // of surface.Options
	Hash         string // of passwords
	Durable      string // the promise of an answer
	Checks       string // made of each request
	LogOut       string // the reach of a log-out
	Lost         bool   // an answer promises nothing: it is not killed
}

const (
	argon = "argon2id 19 MiB, 2 passes, 1 lane"
	wal   = "SQLite (WAL), synchronous="
	one   = "the session"
)

// Contenders returns all, in the order of the tables.
func Contenders() []Contender {
	scs := Contender{
		Name: "scs", Module: "servers/scs", Library: "github.com/alexedwards/scs/v2", Hash: argon, LogOut: one,
		Checks: "session by the hash of its token, deadline; user read by id",
	}
	pocketbase := Contender{
		Name: "PocketBase", Module: "servers/pocketbase", Library: "github.com/pocketbase/pocketbase", Hash: "bcrypt, cost 10 (its default)", LogOut: "all tokens of the user",
		Checks: "user by the id in a JWT, its signature (HS256, a key of the user), deadline",
	}
	better := Contender{
		Name: "better-auth-go", Module: "testdata/betterauth", Library: "github.com/eadwinCode/better-auth-go", Hash: argon, LogOut: one,
		Checks: "session by the hash of its token, deadline, revoked; user read, disabled",
	}
	theauth := Contender{
		Name: "theauth-go, memory", Module: "testdata/theauth", Library: "github.com/glincker/theauth-go", Hash: "argon2id 64 MiB, 3 passes, 4 lanes (fixed)", LogOut: one,
		Checks: "session by the hash of its token, deadline, revoked; user read", Durable: "nothing is stored", Lost: true,
	}
	if os.Getenv("BENCH_POSTGRES") != "" {
		theauth.Name, theauth.Durable, theauth.Lost = "theauth-go, PostgreSQL", "PostgreSQL, as the server is set", false
	}
	list := []Contender{{
		Name: "snib", Module: "servers/snib", Library: "github.com/snibdb/snib", Hash: argon, Durable: "fdatasync", LogOut: one,
		Checks: "host, origin; session by the hash of its secret, checksum, deadlines, epoch; user read, disabled",
	}}
	for _, c := range []Contender{scs, pocketbase, better} {
		for _, sync := range []string{"full", "normal"} {
			x := c
			x.Name, x.Sync, x.Durable = c.Name+", "+strings.ToUpper(sync), sync, wal+strings.ToUpper(sync)
			list = append(list, x)
		}
	}
	return append(list, theauth)
}

// foreign are modules that not every registry serves: they are built from a checkout,
// by programs in testdata. Each is a module and its folder there.
var foreign = map[string][][2]string{
	"testdata/betterauth": {{"github.com/eadwinCode/better-auth-go", "."}},
	"testdata/theauth":    {{"github.com/glincker/theauth-go", "."}, {"github.com/glincker/theauth-go/mcpresource", "mcpresource"}},
}

// ErrNotHere is a server that cannot be built here.
var ErrNotHere = errors.New("left out")

// Build compiles the server of a contender into dir, from the folder of this module
// in root. sources are checkouts by the name of their folder in testdata.
func Build(root, dir string, c Contender, sources map[string]string) (program string, err error) {
	name := filepath.Base(c.Module)
	program, err = filepath.Abs(filepath.Join(dir, name))
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	args, in := []string{"build", "-o", program, "./" + c.Module}, root
	if modules, ok := foreign[c.Module]; ok {
		source := sources[name]
		if source == "" {
			return "", fmt.Errorf("%w: no checkout of %s (-src %s=FOLDER)", ErrNotHere, c.Library, name)
		}
		in = filepath.Join(root, c.Module)
		modfile, err := replaced(in, dir, name, source, modules)
		if err != nil {
			return "", err
		}
		args = []string{"build", "-modfile", modfile, "-o", program, "."}
	}
	build := exec.Command("go", args...)
	build.Dir, build.Env = in, append(os.Environ(), "GOWORK=off")
	out, err := build.CombinedOutput()
	if err != nil && strings.Contains(string(out), "build constraints exclude all Go files") {
		return "", fmt.Errorf("%w of builds with the tag light", ErrNotHere)
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", c.Module, err, out)
	}
	return program, nil
}

// replaced writes a go.mod, and its go.sum, in which modules lie in a checkout.
func replaced(in, dir, name, source string, modules [][2]string) (modfile string, err error) {
	if source, err = filepath.Abs(source); err != nil {
		return "", err
	}
	if modfile, err = filepath.Abs(filepath.Join(dir, name+".mod")); err != nil {
		return "", err
	}
	text, err := os.ReadFile(filepath.Join(in, "go.mod"))
	if err != nil {
		return "", err
	}
	for _, m := range modules {
		text = fmt.Appendf(text, "\nreplace %s => %s\n", m[0], filepath.Join(source, m[1]))
	}
	sums, err := os.ReadFile(filepath.Join(in, "go.sum"))
	if err != nil {
		return "", err
	}
	return modfile, errors.Join(os.WriteFile(modfile, text, 0o600), os.WriteFile(strings.TrimSuffix(modfile, "mod")+"sum", sums, 0o600))
}

// Version is that of the library in a program, or of its checkout.
func Version(program string, c Contender, sources map[string]string) string {
	if source := sources[filepath.Base(c.Module)]; source != "" && foreign[c.Module] != nil {
		out, err := exec.Command("git", "-C", source, "describe", "--tags", "--always").Output()
		if err == nil {
			return strings.TrimSpace(string(out))
		}
	}
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return "unknown"
	}
	for _, m := range info.Deps {
		switch {
		case m.Path != c.Library:
		case m.Replace != nil:
			return "this commit"
		default:
			return m.Version
		}
	}
	return "unknown"
}
