package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/snibdb/snib"
)

// The fourth workload: a file of format 1 is opened, which brings it to the
// format of today. A crash leaves one format or the other, whole.

const goldenV1 = "../proof/testdata/golden/v1"

func init() { jobs["upgrade"] = upgrade }

// lay puts the file that the job begins with in its place, and returns it.
func (j job) lay() ([]byte, error) {
	if j.Golden == "" {
		return nil, nil
	}
	b, err := os.ReadFile(filepath.Join(goldenV1, j.Golden))
	if err != nil {
		return nil, err
	}
	return b, os.WriteFile(j.Path, b, 0o600)
}

// upgrade opens the file. Its content before is announced as operation 0, which is
// acknowledged from the start.
func upgrade(j job) error {
	before, err := rawContents(j.Path)
	if err != nil {
		return err
	}
	if !strings.Contains(before, "snib/user_sessions=") {
		return fmt.Errorf("%s is not of format 1: %s", j.Golden, before)
	}
	say("state kept 0 %s", kept(before))
	say("begin kept 0 the file of format 1")
	say("ack kept 0")
	say("state all 0 %s", before)
	say("begin all 0 the file of format 1")
	say("ack all 0")
	say("begin all 1 Open")
	db, err := snib.Open(j.Path, options(func() time.Time { return start }))
	if err != nil {
		return err
	}
	after, err := contents(db)
	if err != nil {
		return err
	}
	if kept(after) != kept(before) || strings.Contains(after, "snib/user_sessions=") {
		return fmt.Errorf("format 2 has\n%s of\n%s", after, before)
	}
	say("state all 1 %s", after)
	say("ack all 1")
	return nil // without Close, which stores the clock
}

// kept leaves of contents the spaces whose bytes both formats share.
func kept(text string) string {
	parts := strings.Fields(text)
	return strings.Join(slices.DeleteFunc(parts, func(p string) bool {
		name, _, _ := strings.Cut(p, "=")
		return name != "snib/users" && name != "snib/identities" && name != "snib/attributes"
	}), " ")
}

func keptContents(db *snib.DB) (string, error) {
	text, err := contents(db)
	return kept(text), err
}
