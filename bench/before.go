package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/snibdb/snib/bench/internal/load"
)

// before is another commit of snib, which a process of its own measures.
type before struct {
	*load.Remote
	commit, harness string
}

// startBefore builds the harness on another commit, in a work tree of its own
// below dir, and starts it. end stops it and removes the work tree.
func (c *config) startBefore(dir string) (b *before, end func() error, err error) {
	root, err := git("", "rev-parse", "--show-toplevel")
	if err != nil {
		return nil, nil, err
	}
	b = &before{}
	if b.commit, err = git(root, "rev-parse", "--short=12", "--verify", c.before+"^{commit}"); err != nil {
		return nil, nil, err
	}
	tree, err := filepath.Abs(filepath.Join(dir, "before-tree"))
	if err != nil {
		return nil, nil, err
	}
	if _, err := git(root, "worktree", "add", "--detach", tree, b.commit); err != nil {
		return nil, nil, err
	}
	end = func() error {
		_, err := git(root, "worktree", "remove", "--force", tree)
		return err
	}
	fmt.Fprintf(c.progress, "bench: building the harness on commit %s\n", b.commit)
	var program string
	if program, b.harness, err = buildBefore(root, tree); err == nil {
		b.Remote, err = load.NewRemote(program)
	}
	if err != nil {
		return nil, nil, errors.Join(err, end())
	}
	removed := end
	return b, func() error { return errors.Join(b.Remote.Close(), removed()) }, nil
}

// adapter is the one file of the harness that calls snib's methods.
var adapter = filepath.Join("internal", "peers", "snib.go")

// buildBefore builds the present harness on the other commit, so that the works
// are the same. Where names of the library have changed since, it takes the
// adapter of that commit, and at last the whole harness of that commit; rows
// are then compared that both have.
func buildBefore(root, tree string) (program, harness string, err error) {
	own, theirs := filepath.Join(root, "bench"), filepath.Join(tree, "bench")
	program = filepath.Join(tree, "before.exe")
	var failed error
	for _, try := range []struct {
		harness string
		prepare func() error
	}{
		{"by the present harness", func() error { return errors.Join(os.RemoveAll(theirs), os.CopyFS(theirs, os.DirFS(own))) }},
		{"by the present harness with its adapter", func() error { _, err := git(tree, "checkout", "--", filepath.Join("bench", adapter)); return err }},
		{"by its own harness", func() error {
			if err := os.RemoveAll(theirs); err != nil {
				return err
			}
			_, err := git(tree, "checkout", "--", "bench")
			return err
		}},
	} {
		if err := try.prepare(); err != nil {
			return "", "", err
		}
		if err := goBuild(theirs, program); err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", try.harness, err))
			continue
		}
		return program, try.harness, nil
	}
	return "", "", failed
}

// goBuild leaves out the contenders that take minutes to compile: snib alone is
// measured.
func goBuild(dir, program string) error {
	cmd := exec.Command("go", "build", "-tags", "light", "-buildvcs=false", "-o", program, ".")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
}

func git(dir string, args ...string) (string, error) {
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("git %s: %w: %s", args[0], err, out)
	}
	return strings.TrimSpace(string(out)), nil
}
