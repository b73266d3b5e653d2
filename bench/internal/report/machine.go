package report

import (
	"bufio"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
)

// Machine is where a run was made. It names no host, user or folder.
type Machine struct {
	CPU        string `json:"cpu"`
	Processors int    `json:"processors"`
	MemoryMB   int64  `json:"memory_mb"`
	System     string `json:"system"`
	Kernel     string `json:"kernel"`
	FileSystem string `json:"file_system"` // of the stores
	Go         string `json:"go"`

	// Load is how many processors others kept busy, on average during the run:
	// see Meter.
	Load float64 `json:"load"`
}

// Busy reports whether the machine had other work, so that the figures are
// worth little.
func (m Machine) Busy() bool { return m.Load > 0.2 }

// ThisMachine describes the machine, and the file system of dir.
func ThisMachine(dir string) Machine {
	m := Machine{
		CPU: field("/proc/cpuinfo", "model name"), Processors: runtime.GOMAXPROCS(0), System: runtime.GOOS + "/" + runtime.GOARCH,
		Go: runtime.Version(), FileSystem: fileSystem(dir),
	}
	if m.CPU == "" {
		m.CPU = runtime.GOARCH
	}
	m.MemoryMB = kilobytes("/proc/meminfo", "MemTotal") / 1000
	if b, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = strings.TrimSpace(string(b))
	}
	return m
}

// Memory is the memory of this process.
type Memory struct {
	ResidentMB float64 // all
	FilesMB    float64 // of it, pages of mapped files, which are the system's cache
	HeapMB     float64 // in use by Go
}

// ThisProcess looks at the memory of the process. A figure that the system does
// not tell is 0.
func ThisProcess() Memory {
	const status = "/proc/self/status"
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return Memory{
		ResidentMB: float64(kilobytes(status, "VmRSS")) / 1000,
		FilesMB:    float64(kilobytes(status, "RssFile")) / 1000,
		HeapMB:     float64(stats.HeapAlloc) / 1e6,
	}
}

// field returns the value of the first line "name : value" of a file.
func field(path, name string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		key, value, ok := strings.Cut(s.Text(), ":")
		if ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func kilobytes(path, name string) (n int64) {
	for _, d := range strings.TrimSuffix(field(path, name), " kB") {
		if d < '0' || d > '9' {
			return 0
		}
		n = 10*n + int64(d-'0')
	}
	return n
}

// Commit names the commit of the repository, with a plus sign if files differ
// from it, and is "unknown" outside of one.
func Commit() string {
	out, err := exec.Command("git", "rev-parse", "--short=12", "HEAD").Output()
	if err != nil {
		return "unknown"
	}
	commit := strings.TrimSpace(string(out))
	changed, err := exec.Command("git", "status", "--porcelain", "--untracked-files=no").Output()
	if err != nil || len(changed) > 0 {
		commit += "+"
	}
	return commit
}

// ModuleVersions returns the versions of the modules in this program.
func ModuleVersions() map[string]string {
	list := map[string]string{}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return list
	}
	for _, m := range info.Deps {
		list[m.Path] = m.Version
		if m.Replace != nil && strings.HasPrefix(m.Replace.Path, "..") {
			list[m.Path] = "this commit"
		}
	}
	return list
}
