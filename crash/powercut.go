package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Power cuts of a real ext4. A child works on a database in a file system on a
// loop device over a recorded disk. Then the power goes at any moment of the
// record: flushed writes are on the disk, of the rest any part. The kernel
// replays the journal, and the database is opened, checked and compared.

const cutDiskSize = 24 << 20

// cutRun is one run of power cuts.
type cutRun struct {
	job
	cuts int
	mkfs []string // options, such as the size of a block

	leaveOut func(flush int) bool // the disk lies about these: to be found
}

// cutFigures are the totals of a run.
type cutFigures struct {
	writes, flushes, pending int // recorded; not flushed at the cuts, in all
	cuts, before, acked      int // made; before there was a file; operations acknowledged, in all
}

// cutsPossible says why there can be no power cuts here.
func cutsPossible() error {
	if os.Getuid() != 0 {
		return errors.New("mounting file systems needs root")
	}
	for _, device := range []string{"/dev/fuse", "/dev/loop-control"} {
		if _, err := os.Stat(device); err != nil {
			return err
		}
	}
	for _, program := range []string{"mkfs.ext4", "losetup", "mount", "umount"} {
		if _, err := exec.LookPath(program); err != nil {
			return err
		}
	}
	return nil
}

func system(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return nil
}

// powerCuts records a run and cuts the power in it. It returns the first state
// that is not as it must be.
func powerCuts(r cutRun) (f cutFigures, err error) {
	dir, err := tempDir("snib-power-*", "/dev/shm")
	if err != nil {
		return f, err
	}
	defer os.RemoveAll(dir)
	base, err := emptyDisk(dir, cutDiskSize, r.mkfs...)
	if err != nil {
		return f, err
	}
	log, err := r.recordRun(dir, base)
	if err != nil {
		return f, err
	}
	var output strings.Builder
	for i := range log {
		output.WriteString(log[i].line)
	}
	c := &cutter{
		run: r, dir: dir, log: log, durable: base, figures: &f,
		oracle: newOracle(output.String()), rng: rand.New(rand.NewPCG(r.Seed, 3)),
	}
	return f, c.cutAll()
}

// recordRun lets a child work on a new file system and returns the disk's record.
func (r cutRun) recordRun(dir string, base []byte) (log []record, err error) {
	served, mounted := filepath.Join(dir, "served"), filepath.Join(dir, "mounted")
	if err := errors.Join(os.Mkdir(served, 0o700), os.Mkdir(mounted, 0o700)); err != nil {
		return nil, err
	}
	disk, err := serveDisk(served, base)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, disk.server.Unmount()) }()
	out, err := exec.Command("losetup", "-f", "--show", filepath.Join(served, "disk")).Output()
	if err != nil {
		return nil, fmt.Errorf("losetup: %w", err)
	}
	loop := strings.TrimSpace(string(out))
	defer func() { err = errors.Join(err, system("losetup", "-d", loop)) }()
	if err := system("mount", loop, mounted); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, system("umount", mounted)) }()
	program, err := r.child()
	if err != nil {
		return nil, err
	}
	r.Path = filepath.Join(mounted, databaseName)
	// The shell opens the file: this process serves it.
	cmd := exec.Command("sh", "-c", `exec "$0" >"$1"`, program, filepath.Join(served, "said"))
	cmd.Env = r.environ()
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("child: %w\n%s", err, out)
	}
	disk.mu.Lock()
	defer disk.mu.Unlock()
	return disk.log, nil
}

// A cutter goes through the record.
type cutter struct {
	run     cutRun
	dir     string
	log     []record
	durable []byte // the content that survives a cut for certain
	pending []record
	oracle  *oracle
	rng     *rand.Rand
	figures *cutFigures
}

// moments draws how many cuts come before each record, while the child is at
// work: three of four just after a write, where something is pending. A mount
// writes the superblock of ext4, which does not outlive being torn.
func (c *cutter) moments() []int {
	said := func(r record) bool { return r.line != "" }
	first := slices.IndexFunc(c.log, said)
	var writes, all []int
	for i, n := first, 0; n < c.lines(); i++ {
		switch all = append(all, i+1); {
		case said(c.log[i]):
			n++
		case c.log[i].data != nil:
			writes = append(writes, i+1)
		}
	}
	at := make([]int, len(c.log)+1)
	for n := range c.run.cuts {
		from := writes
		if n%4 == 0 {
			from = all
		}
		at[from[c.rng.IntN(len(from))]]++
	}
	return at
}

// lines returns how many were said.
func (c *cutter) lines() (n int) {
	for i := range c.log {
		if c.log[i].line != "" {
			n++
		}
	}
	return n
}

// cutAll cuts the power, and lets the record happen in between.
func (c *cutter) cutAll() error {
	for i, n := range c.moments() {
		for range n {
			if err := c.cut(); err != nil {
				return fmt.Errorf("power cut at record %d of %d, %d writes not flushed: %w", i, len(c.log), len(c.pending), err)
			}
		}
		if i < len(c.log) {
			c.pass(&c.log[i])
		}
	}
	c.figures.acked = c.oracle.operations()
	return c.oracle.unheard()
}

// pass lets one record happen.
func (c *cutter) pass(r *record) {
	switch {
	case r.line != "":
		c.oracle.hear(r.line)
	case r.data != nil:
		c.pending = append(c.pending, *r)
		c.figures.writes++
	default:
		c.figures.flushes++
		if c.run.leaveOut != nil && c.run.leaveOut(c.figures.flushes) {
			return
		}
		for _, w := range c.pending {
			copy(c.durable[w.off:], w.data)
		}
		c.pending = nil
	}
}

// cut draws the pending writes that are on the disk, and judges the result.
func (c *cutter) cut() error {
	image := bytes.Clone(c.durable)
	likely, mode := c.rng.Float64(), c.rng.IntN(3)
	for i, w := range c.pending {
		switch last := int(likely * float64(len(c.pending))); {
		case mode == 0 && c.rng.Float64() < likely, mode == 1 && i < last: // some, or the first
			copy(image[w.off:], w.data)
		case mode == 1 && i == last: // torn
			copy(image[w.off:], w.data[:512*c.rng.IntN(len(w.data)/512+1)])
		case mode == 2: // any sectors
			for s := 0; s < len(w.data); s += 512 {
				if c.rng.Float64() < likely {
					copy(image[w.off+int64(s):], w.data[s:min(s+512, len(w.data))])
				}
			}
		}
	}
	c.figures.cuts++
	c.figures.pending += len(c.pending)
	return c.look(image)
}

// look mounts a disk after a cut and judges the database on it.
func (c *cutter) look(image []byte) (err error) {
	path, dir := filepath.Join(c.dir, "cut"), filepath.Join(c.dir, "mounted")
	if err := os.WriteFile(path, image, 0o600); err != nil {
		return err
	}
	if err := system("mount", "-o", "loop", path, dir); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, system("umount", dir)) }()
	database := filepath.Join(dir, databaseName)
	if _, err := os.Stat(database); errors.Is(err, fs.ErrNotExist) {
		c.figures.before++
		return c.oracle.judge(&facts{absent: true})
	}
	return c.oracle.judge(c.run.inspector().look(database))
}
