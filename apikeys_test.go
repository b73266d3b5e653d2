package snib_test

import (
	"github.com/snibdb/snib"
)

// validKey presents a key.
func validKey(db *snib.DB, k snib.APIKey) error {
	_, _, err := db.APIKeys().Validate(ctx, k.Token.Reveal())
	return err
}
