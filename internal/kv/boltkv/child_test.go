package boltkv

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// jobs are what a child process, the test binary run again, can be told to do
// with the database at path. What it prints is for the parent.
var jobs = map[string]func(path string) error{}

func TestMain(m *testing.M) {
	job, ok := jobs[os.Getenv("BOLTKV_JOB")]
	if !ok {
		os.Exit(m.Run())
	}
	if err := job(os.Getenv("BOLTKV_PATH")); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(0)
}

// command prepares a child; wrapper, if given, is a program that runs it.
func command(job, path string, wrapper ...string) *exec.Cmd {
	args := append(wrapper, os.Args[0], "-test.run=^$")
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "BOLTKV_JOB="+job, "BOLTKV_PATH="+path,
		"GORACE=atexit_sleep_ms=0") // else each child of a -race run takes a second to end
	return cmd
}

// succeed runs a child to its end and returns what it printed.
func succeed(t *testing.T, job, path string) string {
	t.Helper()
	out, err := command(job, path).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", job, err, out)
	}
	return string(out)
}

// start starts a child and waits for the first line it prints.
func start(t *testing.T, job, path string) (line string, cmd *exec.Cmd) {
	t.Helper()
	cmd = command(job, path)
	out, err := cmd.StdoutPipe()
	must(t, err)
	_, err = cmd.StdinPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	line, err = bufio.NewReader(out).ReadString('\n')
	must(t, err)
	return line, cmd
}
