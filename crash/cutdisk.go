package main

import (
	"bytes"
	"context"
	"os"
	"sync"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// A recorded disk is a directory of two files, served by this process: "disk"
// has the bytes of a disk for a loop device, and "said" takes the lines of a
// child. Every write and flush of the disk and every line is recorded,
// in the order in which the kernel asked for it.
type recordedDisk struct {
	mu     sync.Mutex
	data   []byte
	log    []record
	server *fuse.Server
}

// A record is a write, a flush (nil bytes) or a line that was said.
type record struct {
	off  int64
	data []byte
	line string
}

func (d *recordedDisk) add(r record) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if r.data != nil {
		copy(d.data[r.off:], r.data)
	}
	d.log = append(d.log, r)
}

// serveDisk shows a disk with this content at an empty directory.
func serveDisk(dir string, data []byte) (d *recordedDisk, err error) {
	d = &recordedDisk{data: bytes.Clone(data)}
	d.server, err = fs.Mount(dir, &diskRoot{disk: d}, &fs.Options{
		MountOptions: fuse.MountOptions{DirectMountStrict: true, MaxWrite: 1 << 20, Name: "snib-power-cut"},
	})
	return d, err
}

type diskRoot struct {
	fs.Inode
	disk *recordedDisk
}

// OnAdd makes the two files.
func (r *diskRoot) OnAdd(ctx context.Context) {
	for i, name := range []string{"disk", "said"} {
		file := &diskFile{disk: r.disk, lines: name == "said"}
		r.AddChild(name, r.NewPersistentInode(ctx, file, fs.StableAttr{Mode: fuse.S_IFREG, Ino: uint64(2 + i)}), false)
	}
}

type diskFile struct {
	fs.Inode
	disk  *recordedDisk
	lines bool
}

func (f *diskFile) size() int {
	if f.lines {
		return 0
	}
	return len(f.disk.data)
}

func (f *diskFile) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Mode, out.Size, out.Blocks, out.Blksize = 0o100600, uint64(f.size()), uint64(f.size()/512), 4096
	return 0
}

func (f *diskFile) Setattr(ctx context.Context, h fs.FileHandle, _ *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	return f.Getattr(ctx, h, out)
}

func (f *diskFile) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	if f.lines {
		return nil, fuse.FOPEN_DIRECT_IO, 0
	}
	return nil, fuse.FOPEN_KEEP_CACHE, 0
}

func (f *diskFile) Read(_ context.Context, _ fs.FileHandle, into []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if off >= int64(f.size()) {
		return fuse.ReadResultData(nil), 0
	}
	return fuse.ReadResultData(into[:copy(into, f.disk.data[off:])]), 0
}

func (f *diskFile) Write(_ context.Context, _ fs.FileHandle, b []byte, off int64) (uint32, syscall.Errno) {
	switch {
	case f.lines:
		f.disk.add(record{line: string(b)})
	case off+int64(len(b)) > int64(f.size()):
		return 0, syscall.Errno(syscall.ENOSPC)
	default:
		f.disk.add(record{off: off, data: bytes.Clone(b)})
	}
	return uint32(len(b)), 0
}

func (f *diskFile) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	if !f.lines {
		f.disk.add(record{})
	}
	return 0
}

func (f *diskFile) Flush(context.Context, fs.FileHandle) syscall.Errno { return 0 }

// emptyDisk returns the bytes of a disk with a new ext4.
func emptyDisk(dir string, size int64, mkfs ...string) ([]byte, error) {
	path := dir + "/new"
	defer os.Remove(path)
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return nil, err
	}
	if err := os.Truncate(path, size); err != nil {
		return nil, err
	}
	if err := system("mkfs.ext4", append(append([]string{"-q", "-F"}, mkfs...), path)...); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}
