package snibsqlite

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/snibdb/snib/internal/kv"
)

// Primary result codes of SQLite.
const (
	codeError      = 1
	codeBusy       = 5
	codeLocked     = 6
	codeReadOnly   = 8
	codeIO         = 10
	codeCorrupt    = 11
	codeFull       = 13
	codeProtocol   = 15
	codeConstraint = 19
	codeNotADB     = 26
)

// codeOf returns the primary result code of an error of any driver: of the
// method ExtendedCode or Code, or the field of that name. Zero: it has none.
func codeOf(err error) int {
	for ; err != nil; err = errors.Unwrap(err) {
		if many, ok := err.(interface{ Unwrap() []error }); ok {
			for _, one := range many.Unwrap() {
				if code := codeOf(one); code != 0 {
					return code
				}
			}
			return 0
		}
		v := reflect.ValueOf(err)
		for _, name := range []string{"ExtendedCode", "Code"} {
			if m := v.MethodByName(name); m.IsValid() && m.Type().NumIn() == 0 && m.Type().NumOut() == 1 {
				if code, ok := number(m.Call(nil)[0]); ok {
					return code & 0xff
				}
			}
			if s := reflect.Indirect(v); s.Kind() == reflect.Struct {
				if code, ok := number(s.FieldByName(name)); ok {
					return code & 0xff
				}
			}
		}
		if code, ok := number(v); ok {
			return code & 0xff
		}
	}
	return 0
}

func number(v reflect.Value) (int, bool) {
	switch {
	case v.IsValid() && v.CanInt():
		return int(v.Int()), true
	case v.IsValid() && v.CanUint():
		return int(v.Uint()), true
	}
	return 0, false
}

// translate makes the error of package kv out of one of the driver's. The text
// of a driver's error holds no key or value: both travel as parameters.
func translate(doing string, err error) error {
	if err == nil || errors.Is(err, kv.ErrForeign) {
		return err
	}
	var kind error
	switch codeOf(err) {
	case codeBusy, codeLocked, codeProtocol:
		kind = kv.ErrBusy
	case codeReadOnly:
		kind = kv.ErrReadOnly
	case codeCorrupt, codeNotADB:
		kind = kv.ErrCorrupt
	case codeFull:
		kind = kv.ErrFull
	default:
		return fmt.Errorf("%s: %w", doing, err)
	}
	return fmt.Errorf("%s: %w: %w", doing, kind, err)
}

// waits reports whether an error says that another connection has the lock.
func waits(err error) bool {
	switch codeOf(err) {
	case codeBusy, codeLocked, codeProtocol:
		return true
	}
	return false
}

// certain reports whether an error of COMMIT says that nothing of the
// transaction is in the file, and never will be. After an error of input or
// output the frame that makes it valid may be in the log, and recovery would
// find it. An error without a meaning of ours, as of a transaction that the
// application has ended, leaves both possible as well.
func certain(err error) bool {
	switch codeOf(err) {
	case 0, codeError, codeIO:
		return false
	}
	return true
}
