package report

import "errors"

// WriteHTML is to come.
func WriteHTML(dir string, r *Result) error { return errors.New("no page yet") }
