// Package e2e drives examples/webapp with a real browser, Debian's Chromium,
// without a head. It has tests only, and is a module of its own so that the
// library does not depend on the driver.
//
// The tests run when SNIB_E2E=1 is set, which scripts/e2e.sh does after it has
// installed the browser; then a missing browser is a failure. Without it they
// are skipped, so that go test ./... needs nothing but Go.
package e2e
