package main

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// The system calls by which a program changes files. Calls that the model of the
// disk does not know are traced too, so that each is an error and not a hole.
const (
	knownCalls   = "openat,pwrite64,write,ftruncate,fdatasync,fsync,linkat,unlinkat,renameat,renameat2,mmap"
	unknownCalls = "open,creat,link,unlink,rename,pwritev,pwritev2,writev,truncate,fallocate,sync,syncfs,sync_file_range," +
		"msync,sendfile,copy_file_range,splice,symlinkat,io_uring_setup"
)

// An event is one line of a trace: the beginning or the end of a system call,
// in the order in which the kernel saw them.
type event struct {
	pid   string
	call  string
	begin bool // else it is the end, or both if the trace has it in one line
	end   bool
	args  []string // decoded, if begin
	ret   string   // "0", "-1 EIO (Input/output error)", …, if end

	injected bool // strace returned it instead of the kernel
}

func (e *event) failed() bool { return strings.HasPrefix(e.ret, "-1 ") || e.ret == "?" }

// number returns argument i, or zero if it is not a number.
func (e *event) number(i int) int64 {
	n, _ := strconv.ParseInt(e.args[i], 10, 64)
	return n
}

// errNoTrace says why there is no strace to run.
var errNoTrace = errors.New("strace is needed (5.3 or later), and permission to trace a child")

// straceable reports whether children can be traced here.
func straceable() error {
	out, err := exec.Command("strace", "-f", "--seccomp-bpf", "-e", "trace=openat", "-o", os.DevNull, "true").CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %w\n%s", errNoTrace, err, out)
	}
	return nil
}

// traced runs a child under strace, writes the trace to file and returns the
// child's output. Each inject makes system calls fail; the trace then has only the
// beginning of each write.
func traced(j job, file string, inject ...string) (output string, err error) {
	program, err := j.child()
	if err != nil {
		return "", err
	}
	size := "100000000"
	if len(inject) > 0 {
		size = "100"
	}
	// With seccomp, the calls that are not traced run at full speed.
	args := []string{"-f", "--seccomp-bpf", "-y", "-xx", "-s", size, "-qq", "-e", "signal=none", "-o", file}
	args = append(args, "-e", "trace="+knownCalls+",?"+strings.ReplaceAll(unknownCalls, ",", ",?"))
	for _, x := range inject {
		args = append(args, "-e", "inject="+x)
	}
	cmd := exec.Command("strace", append(args, program)...)
	cmd.Env = j.environ()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("child: %w\n%s", err, stderr.String())
	}
	return stdout.String(), nil
}

// readTrace calls visit for every event of a trace about files under dir, about
// the maps of those files, and about the child's standard output.
func readTrace(r io.Reader, dir string, visit func(*event) error) error {
	lines := bufio.NewReaderSize(r, 1<<20)
	for n := 1; ; n++ {
		line, err := lines.ReadString('\n')
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		e, err := parseLine(strings.TrimSuffix(line, "\n"))
		if err != nil {
			return fmt.Errorf("line %d of the trace: %w: %.200s", n, err, line)
		}
		if e == nil || e.begin && !e.about(dir) {
			continue
		}
		if err := visit(e); err != nil {
			return fmt.Errorf("line %d of the trace: %w", n, err)
		}
	}
}

// about reports whether a call is about the directory or the output.
func (e *event) about(dir string) bool {
	for _, a := range e.args {
		if strings.HasPrefix(a, dir) {
			return true
		}
	}
	return e.call == "write" && len(e.args) > 0 && strings.HasPrefix(e.args[0], "1<")
}

// parseLine reads a line of strace -f -y -xx. It returns nil for a line without a
// system call.
//
//	PID CALL(ARGS) = RESULT
//	PID CALL(ARGS <unfinished ...>
//	PID <... CALL resumed>) = RESULT
func parseLine(line string) (*event, error) {
	pid, rest, ok := strings.Cut(line, " ")
	rest = strings.TrimSpace(rest)
	switch {
	case !ok:
		return nil, errors.New("no process")
	case strings.HasPrefix(rest, "+++") || strings.HasPrefix(rest, "---"):
		return nil, nil
	case rest == "???( <detached ...>": // a thread that the end of the process has taken before its call
		return nil, nil
	}
	e := &event{pid: pid}
	if name, ok := strings.CutPrefix(rest, "<... "); ok {
		e.call, rest, _ = strings.Cut(name, " resumed>")
		e.end = true
		return e, e.result(rest)
	}
	e.begin = true
	e.call, rest, ok = strings.Cut(rest, "(")
	if !ok {
		return nil, errors.New("no call")
	}
	if args, ok := strings.CutSuffix(rest, " <unfinished ...>"); ok {
		return e, e.arguments(args)
	}
	at := strings.LastIndex(rest, ") = ")
	if at < 0 {
		if at = strings.LastIndex(rest, ")"); at < 0 {
			return nil, errors.New("no result")
		}
	}
	e.end = true
	return e, errors.Join(e.arguments(rest[:at]), e.result(rest[at:]))
}

func (e *event) result(rest string) error {
	_, ret, ok := strings.Cut(rest, "= ")
	if !ok {
		return errors.New("no result")
	}
	e.ret, e.injected = strings.CutSuffix(ret, " (INJECTED)")
	return nil
}

// arguments decodes the arguments of a call. A descriptor becomes the path
// that strace shows for it, standard output "1<…", and a quoted string its bytes.
// In hexadecimal, neither has a comma or a bracket.
func (e *event) arguments(text string) error {
	for arg := range strings.SplitSeq(text, ", ") {
		if quoted, ok := strings.CutPrefix(arg, `"`); ok {
			b, err := unhex(strings.TrimSuffix(strings.TrimSuffix(quoted, "..."), `"`))
			if err != nil {
				return err
			}
			arg = string(b)
		} else if fd, path, ok := strings.Cut(arg, "<"); ok && strings.Contains(path, ">") {
			path, _, _ = strings.Cut(path, ">")
			b, err := unhex(path)
			if err != nil {
				return err
			}
			if arg = string(b); fd == "1" {
				arg = "1<" + arg
			}
		}
		e.args = append(e.args, arg)
	}
	e.paths()
	return nil
}

// unhex decodes \x61\x62….
func unhex(text string) ([]byte, error) {
	digits := strings.ReplaceAll(text, `\x`, "")
	if len(digits)*2 != len(text) {
		return nil, errors.New("not in hexadecimal")
	}
	return hex.DecodeString(digits)
}

// paths joins names to the directories that they are relative to.
func (e *event) paths() {
	join := func(dir, name int) {
		if name < len(e.args) && !filepath.IsAbs(e.args[name]) {
			e.args[name] = filepath.Join(e.args[dir], e.args[name])
		}
	}
	switch e.call {
	case "openat", "unlinkat":
		join(0, 1)
	case "linkat", "renameat", "renameat2":
		join(0, 1)
		join(2, 3)
	}
}
