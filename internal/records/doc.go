// Package records keeps accounts as records of a kv store: which spaces there
// are, whose records they hold and which occasions end them, and everything
// that must hold for all of them: cascades, bounds, the sweep, Check and
// Repair.
//
// It knows no engine and no public type. Nouns (users, sessions, tokens) are
// the root package's, which builds its methods on [Tx].
package records
