package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/snibdb/snib"
)

// The rows of teams lie beside the accounts, each under the user with whom it
// goes: a team is of its owner, a membership of the member, an invitation of the
// inviter. DeleteUser removes them; no code here does.
const (
	teams       = "teams"       // owner ␀ name: empty
	memberships = "memberships" // member ␀ team: role
	invitations = "invitations" // inviter ␀ hash of the code: deadline and team

	// An index for Members. It is of no user, so entries of deleted users stay:
	// only memberships make a member.
	members = "members" // team ␀ member: empty
)

var owned = []string{teams, memberships, invitations}

// A Team is named by its owner and the owner's name for it.
type Team struct {
	Owner snib.UserID
	Name  string
}

func (t Team) key() string { return string(snib.OwnedKey(t.Owner, t.Name)) }

func parseTeam(key string) Team {
	owner, name, _ := strings.Cut(key, "\x00")
	return Team{snib.UserID(owner), name}
}

var (
	errName    = errors.New("a team needs a name without a zero byte")
	errTaken   = errors.New("there is a team of that name")
	errRefused = errors.New("not allowed")
)

// Teams are those of the users of a database.
type Teams struct{ db *snib.DB }

// update runs fn on the buckets by name. The user is looked up in the same
// transaction: a row for a user deleted meanwhile would stay for ever.
func (t Teams) update(ctx context.Context, user snib.UserID, fn func(b func(string) *bolt.Bucket) error) error {
	return t.db.Update(ctx, func(tx *snib.Tx) error {
		if _, err := tx.GetUser(user); err != nil {
			return err
		}
		for _, name := range append([]string{members}, owned...) {
			if _, err := tx.Bolt().CreateBucketIfNotExists([]byte(name)); err != nil {
				return err
			}
		}
		return fn(func(name string) *bolt.Bucket { return tx.Bolt().Bucket([]byte(name)) })
	})
}

// Create makes a team and its owner the first member.
func (t Teams) Create(ctx context.Context, owner snib.UserID, name string) (Team, error) {
	team := Team{owner, name}
	if name == "" || strings.Contains(name, "\x00") {
		return Team{}, errName
	}
	return team, t.update(ctx, owner, func(b func(string) *bolt.Bucket) error {
		if has(b(teams), []byte(team.key())) {
			return errTaken
		}
		return errors.Join(b(teams).Put([]byte(team.key()), []byte{}), join(b, owner, team, "owner"))
	})
}

// Invite returns a code for one guest, good for a week. Members may invite.
func (t Teams) Invite(ctx context.Context, by snib.UserID, team Team) (code string, err error) {
	code = string(by) + "." + rand.Text()
	return code, t.update(ctx, by, func(b func(string) *bolt.Bucket) error {
		if !has(b(teams), []byte(team.key())) || !has(b(memberships), snib.OwnedKey(by, team.key())) {
			return errRefused
		}
		deadline := time.Now().Add(7 * 24 * time.Hour).Format(time.RFC3339)
		return b(invitations).Put(invitation(code), []byte(deadline+" "+team.key()))
	})
}

// invitation is the key of a code: the inviter's, and a hash, so that a copy of
// the file opens no team.
func invitation(code string) []byte {
	hash := sha256.Sum256([]byte(code))
	return snib.OwnedKey(snib.UserID(code[:max(strings.LastIndex(code, "."), 0)]), string(hash[:]))
}

// Accept makes the bearer of a code a member, once.
func (t Teams) Accept(ctx context.Context, user snib.UserID, code string) (team Team, err error) {
	err = t.update(ctx, user, func(b func(string) *bolt.Bucket) error {
		deadline, key, _ := strings.Cut(string(b(invitations).Get(invitation(code))), " ")
		until, err := time.Parse(time.RFC3339, deadline)
		if err != nil || time.Now().After(until) || !has(b(teams), []byte(key)) {
			return errRefused
		}
		team = parseTeam(key)
		return errors.Join(b(invitations).Delete(invitation(code)), join(b, user, team, "member"))
	})
	return team, err
}

// join writes a membership and its entry in the index; a role stays as it is.
func join(b func(string) *bolt.Bucket, user snib.UserID, team Team, role string) error {
	key := snib.OwnedKey(user, team.key())
	if has(b(memberships), key) {
		return nil
	}
	return errors.Join(b(memberships).Put(key, []byte(role)), b(members).Put([]byte(team.key()+"\x00"+string(user)), []byte{}))
}

// has reports whether a key is in a bucket, which may be missing; its value may
// be empty.
func has(b *bolt.Bucket, key []byte) bool { return b != nil && b.Get(key) != nil }

// Members returns the members of a team and their roles, one a line.
func (t Teams) Members(ctx context.Context, team Team) (list []string, err error) {
	return list, t.db.View(ctx, func(tx *snib.Tx) error {
		index, rows := tx.Bolt().Bucket([]byte(members)), tx.Bolt().Bucket([]byte(memberships))
		if !has(tx.Bolt().Bucket([]byte(teams)), []byte(team.key())) {
			return nil // it has left with its owner
		}
		prefix := []byte(team.key() + "\x00")
		c := index.Cursor()
		for k, _ := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, _ = c.Next() {
			user := snib.UserID(k[len(prefix):])
			if role := rows.Get(snib.OwnedKey(user, team.key())); role != nil {
				list = append(list, fmt.Sprintf("%s: %s", user, role))
			}
		}
		return nil
	})
}
