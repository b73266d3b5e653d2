package records

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/snibdb/snib/codec"
	"github.com/snibdb/snib/internal/clock"
	"github.com/snibdb/snib/internal/fold"
	"github.com/snibdb/snib/internal/token"
)

// APIKeys is the kind of API keys.
var APIKeys = &Kind{
	Title: "API key", Space: SpaceAPIKeys, Token: token.APIKey,
	Most: MaxAPIKeys, Refuses: true,
	Invariant: 20,
	Ends:      PasswordReset | EpochRaised | FactorsReset,
	Merge:     MergeRefuses,
	Missing:   ErrInvalidAPIKey,
	Life:      apiKeyLife,
	Rules:     apiKeyRules{},
}

// ErrInvalidAPIKey: there is no such record.
var ErrInvalidAPIKey error = &missing{"invalid API key"}

func apiKeyLife(key, value []byte) (Life, error) {
	v, err := codec.ViewAPIKey(key, value)
	if err != nil {
		return Life{}, err
	}
	l := Life{Who: v.Who(), Epoch: v.Epoch(), Until: v.ExpiresAt(), Kept: v.ExpiresAt()}
	if at := v.LastUsedAt(); at != clock.Never {
		l.Newest = at
	}
	return l, nil
}

// apiKeyRules are the Rules of APIKeys.
type apiKeyRules struct{}

func (apiKeyRules) facts(key, value []byte) (Object, error) {
	k, err := codec.DecodeAPIKey(key, value)
	return Object{
		{"name", k.Name}, {"scopes", texts(k.Scopes)}, {"expires_at", Instant(k.ExpiresAt)}, {"last_used_at", Instant(k.LastUsedAt)},
	}, err
}

// check sees to INV-20 for the content of a key. A record with other scopes
// than a program can grant is nothing to rely on, so Repair ends it.
func (apiKeyRules) check(tx *Tx, c inspector, m member, value []byte) error {
	k, err := codec.DecodeAPIKey(m.raw, value)
	if err != nil {
		return tx.Damaged(SpaceAPIKeys, err)
	}
	if field, _ := APIKeyFault(k.Name, k.Scopes); field != "" {
		return c.end(m, 20, "has a name or scopes that no key can have")
	}
	return nil
}

// Bounds of API keys.
const (
	MaxAPIKeys      = 50 // of one user
	MaxAPIKeyName   = 64 // bytes
	MaxAPIKeyScopes = 16
	hourMillis      = 3600 * 1000          // milliseconds
	endingMillis    = 14 * 24 * hourMillis // before the end of a key its user is told

	maxKeyUses = 1 << 16 // kept in memory
)

// APIKey returns the API key under key, live or dead, or ErrInvalidAPIKey.
func (tx *Tx) APIKey(key codec.OwnedKey) (codec.APIKey, error) {
	return OwnedRecord(tx, APIKeys, key, codec.DecodeAPIKey)
}

// APIKeyLive reports whether a key can be used, as far as it tells itself: its
// user must exist and not be disabled besides.
func (tx *Tx) APIKeyLive(k *codec.APIKey) bool {
	return k.Epoch == tx.State.Epoch && tx.Now < k.ExpiresAt
}

// EachAPIKey visits the API keys of a user, live and dead, by age. With an
// error of the codec, k has nothing but its Key.
func (tx *Tx) EachAPIKey(userID string, visit func(k *codec.APIKey, err error) error) error {
	return tx.ScanOwner(SpaceAPIKeys, tx.Owner(userID), 0, func(key codec.OwnedKey, value []byte) error {
		k, err := codec.DecodeAPIKey(key[:], value)
		switch {
		case err != nil:
			k = codec.APIKey{Key: key}
		case k.UserID != userID:
			return nil
		}
		return visit(&k, err)
	})
}

// APIKeyRoom reports whether a user can have one more key, and returns the dead
// records that go for it. No live key is evicted: the program that holds it
// would fail without having been told.
func (tx *Tx) APIKeyRoom(userID string) (dead []codec.OwnedKey, room bool, err error) {
	live := 0
	err = tx.EachAPIKey(userID, func(k *codec.APIKey, err error) error {
		switch {
		case errors.Is(err, codec.ErrNewer):
			return tx.Damaged(SpaceAPIKeys, err)
		case err == nil && tx.APIKeyLive(k):
			live++
		default:
			dead = append(dead, k.Key) // an unreadable one takes no place
		}
		return nil
	})
	if err != nil || live >= MaxAPIKeys {
		return nil, false, err
	}
	return dead[:max(0, live+len(dead)+1-MaxAPIKeys)], true, nil
}

// EndingSoon reports whether the end of a key is to be announced: it is near, and
// was not when the key was made.
func (tx *Tx) EndingSoon(v *codec.APIKeyView) bool {
	until := v.ExpiresAt()
	return until != clock.Never && v.Flags()&codec.APIKeyWarned == 0 && v.Epoch() == tx.State.Epoch &&
		tx.Now < until && until-tx.Now <= endingMillis && until-v.Key().Time() >= endingMillis
}

// AnnounceEnds writes the event of each key that still ends soon, and notes in its
// record that it has. That of a disabled user waits until the user is enabled.
func (tx *Tx) AnnounceEnds(keys []codec.OwnedKey) error {
	for _, key := range keys {
		k, err := tx.APIKey(key)
		if err == nil {
			var u codec.User
			u, err = tx.User(k.UserID)
			if err == nil && u.DisabledAt != 0 {
				continue
			}
		}
		switch {
		case DamagedOrMissing(err), errors.Is(err, ErrNewerFormat), errors.Is(err, ErrUserNotFound):
			continue // Check tells of it
		case err != nil:
			return err
		}
		if v, err := codec.ViewAPIKey(key[:], k.Append(nil)); err != nil || !tx.EndingSoon(&v) {
			continue // it was revoked or announced since
		}
		k.Flags |= codec.APIKeyWarned
		if err := tx.PutOwned(APIKeys, key, k.Append(nil)); err != nil {
			return err
		}
		if err := tx.Note(k.UserID, EventAPIKeyEnding, About{Subject: key.OwnID(), Detail: k.Name, Library: true}); err != nil {
			return err
		}
	}
	return nil
}

// APIKeyFault looks at the name and the scopes of a key, and returns the field
// of the first fault. Scopes are in ascending order, without a repetition.
func APIKeyFault(name string, scopes []string) (field string, f fold.Fault) {
	if f := fold.PlainText(name, MaxAPIKeyName); f.Found() {
		return "Name", f
	}
	if len(scopes) > MaxAPIKeyScopes {
		return "Scopes", fold.Fault{Code: fold.TooMany, Max: MaxAPIKeyScopes, Reason: "must be at most 16"}
	}
	for i, s := range scopes {
		if !fold.Scope(s) || i > 0 && scopes[i-1] >= s {
			return "Scopes", fold.Fault{Code: fold.Malformed, Reason: "must each be 1–32 of [a-z0-9_:.-]"}
		}
	}
	return "", fold.Fault{}
}

// KeyUses keeps in memory, between two writes, when API keys were last used, so
// that a request with a key writes nothing. It is bounded: a use beyond the
// bound is not noted, and the key looks older than it is. The zero KeyUses is
// ready, and safe for concurrent use.
type KeyUses struct {
	mu   sync.Mutex
	last map[codec.OwnedKey]int64
}

// LastUse is the time that is kept of a use at now: its hour, or the creation of
// a key that was made in it.
func LastUse(key codec.OwnedKey, now int64) int64 { return max(now-now%hourMillis, key.Time()) }

// Note takes the use of a key at now, unless its record has the hour already.
func (u *KeyUses) Note(k *codec.APIKey, now int64) {
	at := LastUse(k.Key, now)
	if k.LastUsedAt != clock.Never && k.LastUsedAt >= at {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.noteLocked(k.Key, at)
}

func (u *KeyUses) noteLocked(key codec.OwnedKey, at int64) {
	old, known := u.last[key]
	switch {
	case known && old >= at, !known && len(u.last) >= maxKeyUses:
		return
	case u.last == nil:
		u.last = make(map[codec.OwnedKey]int64)
	}
	u.last[key] = at
}

// Last returns the last use of a key as far as the record and memory tell, or
// clock.Never.
func (u *KeyUses) Last(k *codec.APIKey) int64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	at, known := u.last[k.Key]
	switch {
	case !known:
		return k.LastUsedAt
	case k.LastUsedAt == clock.Never:
		return at
	}
	return max(at, k.LastUsedAt)
}

// Take returns the keys whose uses are to be written, and forgets them.
func (u *KeyUses) Take() map[codec.OwnedKey]int64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	taken := u.last
	u.last = nil
	return taken
}

// Return takes back uses that were not written.
func (u *KeyUses) Return(uses map[codec.OwnedKey]int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for key, at := range uses {
		u.noteLocked(key, at)
	}
}

func compareKeys(a, b codec.OwnedKey) int { return bytes.Compare(a[:], b[:]) }

// PutKeyUses writes last uses into the records of their keys. A key that is gone
// or cannot be read stays so.
func (tx *Tx) PutKeyUses(uses map[codec.OwnedKey]int64) error {
	for _, key := range slices.SortedFunc(maps.Keys(uses), compareKeys) {
		k, err := tx.APIKey(key)
		switch {
		case DamagedOrMissing(err), errors.Is(err, ErrNewerFormat):
			continue
		case err != nil:
			return err
		case k.LastUsedAt != clock.Never && k.LastUsedAt >= uses[key]:
			continue
		}
		k.LastUsedAt = uses[key]
		if err := tx.PutOwned(APIKeys, key, k.Append(nil)); err != nil {
			return err
		}
	}
	return nil
}
