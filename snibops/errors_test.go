package snibops

import (
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"testing"
	"time"

	"github.com/snibdb/snib"
)

// over is an error on its way through JSON.
func over(t *testing.T, err error) error {
	t.Helper()
	var f fault
	if err := loose(mustJSON(t, faultOf(err)), &f); err != nil {
		t.Fatal(err)
	}
	return f.err()
}

func TestErrorsCrossWithTheirCodes(t *testing.T) {
	for _, c := range codes {
		got := over(t, fmt.Errorf("snib: op: %w", c.err))
		for _, other := range codes {
			if want := errors.Is(c.err, other.err); errors.Is(got, other.err) != want {
				t.Errorf("%s is %s: %v, want %v", c.name, other.name, !want, want)
			}
		}
		if want := "snib: op: " + c.err.Error(); got.Error() != want {
			t.Errorf("text %q, want %q", got, want)
		}
	}
	both := over(t, errors.Join(snib.ErrInvalidCredentials, snib.ErrUserDisabled))
	if !errors.Is(both, snib.ErrInvalidCredentials) || !errors.Is(both, snib.ErrUserDisabled) {
		t.Errorf("two at once: %v", both)
	}
	if err := over(t, errors.New("of the disk")); err.Error() != "of the disk" || errors.Is(err, fs.ErrExist) {
		t.Errorf("without a code: %v", err)
	}
}

func TestTypedErrorsCrossWhole(t *testing.T) {
	input := &snib.InputError{Field: "Password", Code: snib.CodeTooShort, Reason: "r", Min: 8, Max: 1024}
	everyFieldIsSet(t, *input)
	if got, ok := errors.AsType[*snib.InputError](over(t, fmt.Errorf("x: %w", input))); !ok || !reflect.DeepEqual(got, input) {
		t.Errorf("InputError: %+v", got)
	}
	if got, ok := errors.AsType[*snib.AttributeTakenError](over(t, &snib.AttributeTakenError{Name: "n"})); !ok || got.Name != "n" {
		t.Errorf("AttributeTakenError: %+v", got)
	}
	if got, ok := errors.AsType[*snib.LastHolderError](over(t, &snib.LastHolderError{Role: "r"})); !ok || got.Role != "r" {
		t.Errorf("LastHolderError: %+v", got)
	}
	limit := &snib.OneTimeTokenLimitError{Purpose: "p", RetryAt: time.Unix(5, 0).UTC()}
	if got, ok := errors.AsType[*snib.OneTimeTokenLimitError](over(t, limit)); !ok || *got != *limit {
		t.Errorf("OneTimeTokenLimitError: %+v", got)
	}
}
