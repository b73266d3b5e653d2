package snibops

import (
	"bufio"
	"bytes"
	"log/slog"
	"sync"
)

// A syncBuffer takes what several goroutines write.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func (s *syncBuffer) logger() *slog.Logger  { return slog.New(slog.NewTextHandler(s, nil)) }
func (s *syncBuffer) writer() *bufio.Writer { return bufio.NewWriter(s) }
