package phc

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const appText = "anything: \x00\xff, of the application's own"

// appHash imports appText into a hasher with the verifier given.
func appHash(t *testing.T, v Verifier) (*Hasher, Hash) {
	t.Helper()
	h, _ := newHasher(t, Config{Verifier: v})
	h.gate, h.slot = newGate(1, 10, 1, 0), 1 // one at a time
	hash, err := h.Convert(Foreign{Source: "x-old-site", Text: appText})
	if err != nil {
		t.Fatal(err)
	}
	return h, hash
}

func TestVerifierIsAsked(t *testing.T) {
	var got []string
	h, hash := appHash(t, func(_ context.Context, source, text, password string) (bool, error) {
		got = append(got, source, text, password)
		return password == nfd, nil
	})
	ok, own, err := h.VerifyAndRehash(t.Context(), hash, nfd)
	if !ok || own == "" || err != nil {
		t.Errorf("right: %v, %q, %v", ok, own, err)
	}
	if ok, own, err := h.VerifyAndRehash(t.Context(), hash, nfc); ok || own != "" || err != nil {
		t.Errorf("wrong: %v, %q, %v", ok, own, err)
	}
	if want := "x-old-site|" + appText + "|" + nfd + "|x-old-site|" + appText + "|" + nfc; strings.Join(got, "|") != want {
		t.Errorf("it was asked %q, want %q", got, want)
	}
	without, passes := newHasher(t, Config{})
	if ok, err := without.Verify(t.Context(), hash, nfd); ok || !errors.Is(err, ErrMissing) || len(passes()) != 1 {
		t.Errorf("without a verifier: %v, %v, want the work of a decoy", ok, err)
	}
	if _, err := without.Convert(Foreign{Source: "x-old-site", Text: appText}); !errors.Is(err, ErrMissing) {
		t.Errorf("import without a verifier: %v", err)
	}
}

func TestVerifierFails(t *testing.T) {
	for name, v := range map[string]Verifier{
		"error":         func(context.Context, string, string, string) (bool, error) { return true, errors.New("away") },
		"panic":         func(_ context.Context, _, _, password string) (bool, error) { panic(password) },
		"runtime panic": func(context.Context, string, string, string) (bool, error) { return []bool{}[len(appText)], nil },
		"nil panic":     func(context.Context, string, string, string) (bool, error) { panic(nil) },
	} {
		h, hash := appHash(t, v)
		ok, own, err := h.VerifyAndRehash(t.Context(), hash, "sesame-opens")
		if ok || own != "" || !errors.Is(err, ErrVerifier) || strings.Contains(err.Error(), "sesame") {
			t.Errorf("%s: %v, %q, %v", name, ok, own, err)
		}
		if running, _, _ := h.Stats(); running != 0 {
			t.Errorf("%s: %d still run", name, running)
		}
	}
}

// TestVerifierHangs: nobody waits for it longer than its time, and its turn at
// the gate is held until it returns.
func TestVerifierHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		h, hash := appHash(t, func(context.Context, string, string, string) (bool, error) {
			<-release
			return true, nil
		})
		start := time.Now()
		ok, err := h.Verify(t.Context(), hash, "password")
		if took := time.Since(start); ok || !errors.Is(err, ErrVerifier) || took != 10*time.Second {
			t.Errorf("after %v: %v, %v", took, ok, err)
		}
		synctest.Wait()
		if running, _, _ := h.Stats(); running != 1 {
			t.Errorf("%d run, want the one that hangs", running)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := h.Decoy(ctx, "password"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the next in the queue: %v", err)
		}
		close(release)
		synctest.Wait()
		if running, _, _ := h.Stats(); running != 0 {
			t.Errorf("%d run after it has returned", running)
		}
	})
}

func TestVerifierHonoursTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, hash := appHash(t, func(ctx context.Context, _, _, _ string) (bool, error) {
			<-ctx.Done()
			return false, ctx.Err()
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := h.Verify(ctx, hash, "password"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Verify = %v, want the context's error", err)
		}
	})
}
