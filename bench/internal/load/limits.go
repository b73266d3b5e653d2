package load

import (
	"errors"
	"io"

	"github.com/snibdb/snib/bench/internal/report"
)

// Limits is to come.
func Limits(dir string) ([]report.Row, error) { return nil, nil }

// Probe is to come.
func Probe(dir string, w io.Writer) error { return errors.New("no probe yet") }
