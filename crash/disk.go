package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// The model of a disk. A write that a successful fsync or fdatasync covered
// survives a crash; of later writes any part may survive, whole or torn. That is
// less than any file system promises, with one exception: changes to a directory
// reach the disk in their order.
//
// Not in the model: a disk that lies about a sync, sectors that are damaged
// when the power goes, and metadata such as modes.

// A change is a write or, with truncate set, a new length.
type change struct {
	off      int64
	data     []byte
	truncate bool
	done     bool // the call has returned; a sync that begins now covers it
}

func (c change) String() string {
	if c.truncate {
		return fmt.Sprintf("length %d", c.off)
	}
	return fmt.Sprintf("%d bytes at %d", len(c.data), c.off)
}

// apply returns b after the change.
func (c *change) apply(b []byte) []byte {
	if c.truncate {
		return resize(b, c.off)
	}
	if end := c.off + int64(len(c.data)); end > int64(len(b)) {
		b = resize(b, end)
	}
	copy(b[c.off:], c.data)
	return b
}

// resize returns b with another length; new bytes are zero.
func resize(b []byte, n int64) []byte {
	if n <= int64(len(b)) {
		return b[:n]
	}
	return append(b, make([]byte, n-int64(len(b)))...)
}

// inode is a file.
type inode struct {
	durable []byte
	pending []*change
	syncs   int // how often durable became another
}

// entry is a change of a directory: name leads to file, or nowhere.
type entry struct {
	name string
	file *inode
}

type disk struct {
	dir     string
	names   map[string]*inode // as the running program sees them
	durable map[string]*inode // as they are after a crash, at least
	pending []entry           // changes that a sync of the directory makes durable

	open map[string]*call // by process: calls that have begun and not ended
}

// call is a system call that has begun.
type call struct {
	*event
	file    *inode
	change  *change
	covers  []*change // changes that a sync will have made durable
	entries int       // likewise
}

func newDisk(dir string) *disk {
	return &disk{dir: dir, names: map[string]*inode{}, durable: map[string]*inode{}, open: map[string]*call{}}
}

// place says that a file was there, and durable, before the trace began.
func (d *disk) place(name string, b []byte) {
	f := &inode{durable: b}
	d.names[name], d.durable[name] = f, f
}

// see applies an event. It reports whether the states that a crash could leave
// may be others now.
func (d *disk) see(e *event) (changed bool, err error) {
	if e.begin {
		c := &call{event: e}
		if err := d.begin(c); err != nil {
			return false, err
		}
		d.open[e.pid] = c
		changed = c.change != nil
	}
	c := d.open[e.pid]
	if !e.end || c == nil {
		return changed, nil
	}
	delete(d.open, e.pid)
	c.ret = e.ret
	return d.end(c) || changed, nil
}

// begin is where a write starts: from here on, part of it may be on the disk.
func (d *disk) begin(c *call) error {
	switch c.call {
	case "pwrite64", "write", "ftruncate", "fsync", "fdatasync":
		if c.args[0] == d.dir {
			c.entries = len(d.pending)
			return nil
		}
		c.file = d.names[c.args[0]]
		switch {
		case c.file != nil:
		case strings.HasPrefix(c.args[0], "1<"):
			return nil // the output
		default:
			return fmt.Errorf("%s of %s, which has no name", c.call, c.args[0])
		}
	case "mmap":
		if strings.Contains(c.args[2], "PROT_WRITE") && strings.Contains(c.args[3], "MAP_SHARED") {
			return fmt.Errorf("%s is mapped for writing", c.args[4])
		}
		return nil
	case "openat", "linkat", "unlinkat", "renameat", "renameat2":
		return nil
	default:
		return fmt.Errorf("%s is not in the model of the disk", c.call)
	}
	switch c.call {
	case "pwrite64":
		c.change = &change{off: c.number(3), data: []byte(c.args[1])}
		if int64(len(c.change.data)) != c.number(2) {
			return fmt.Errorf("%d bytes of %d are in the trace", len(c.change.data), c.number(2))
		}
	case "ftruncate":
		c.change = &change{off: c.number(1), truncate: true}
	case "write":
		return fmt.Errorf("write without an offset to %s is not in the model", c.args[0])
	default:
		for _, x := range c.file.pending {
			if x.done {
				c.covers = append(c.covers, x)
			}
		}
	}
	if c.change != nil {
		c.file.pending = append(c.file.pending, c.change)
	}
	return nil
}

// end is where a call returns. One that failed may have done its work in part,
// and has made nothing durable.
func (d *disk) end(c *call) (changed bool) {
	if c.change != nil {
		c.change.done = true
	}
	if c.failed() {
		return false
	}
	switch c.call {
	case "openat":
		return strings.Contains(c.args[2], "O_CREAT") && d.create(c.args[1])
	case "linkat":
		d.enter(c.args[3], d.names[c.args[1]])
	case "unlinkat":
		d.enter(c.args[1], nil)
	case "renameat", "renameat2":
		file := d.names[c.args[1]]
		d.enter(c.args[1], nil)
		d.enter(c.args[3], file)
	case "fsync", "fdatasync":
		return d.sync(c)
	default:
		return false
	}
	return true
}

func (d *disk) create(name string) bool {
	if d.names[name] != nil {
		return false
	}
	d.enter(name, &inode{})
	return true
}

// enter changes the directory. A file that is renamed is in two places for a
// moment here, which a crash can leave as well.
func (d *disk) enter(name string, file *inode) {
	if filepath.Dir(name) != d.dir {
		return
	}
	if d.names[name] = file; file == nil {
		delete(d.names, name)
	}
	d.pending = append(d.pending, entry{name, file})
}

// sync makes all changes durable that were made before it began.
func (d *disk) sync(c *call) bool {
	if c.file == nil {
		for _, x := range d.pending[:c.entries] {
			d.durable[x.name] = x.file
		}
		d.pending = d.pending[c.entries:]
		return c.entries > 0
	}
	if len(c.covers) == 0 {
		return false
	}
	f := c.file
	f.durable = slices.Clone(f.durable) // states in the works hold the old one
	for _, x := range c.covers {
		f.durable = x.apply(f.durable)
	}
	f.pending = slices.DeleteFunc(slices.Clone(f.pending), func(x *change) bool { return slices.Contains(c.covers, x) })
	f.syncs++
	return true
}

// at returns the files to which name may lead after a crash; nil is no file.
func (d *disk) at(name string) []*inode {
	files := []*inode{d.durable[name]}
	for _, x := range d.pending {
		if x.name == name && files[len(files)-1] != x.file {
			files = append(files, x.file)
		}
	}
	return files
}
