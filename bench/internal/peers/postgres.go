//go:build cgo && !race && !light

package peers

import (
	"errors"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/snibdb/snib/bench/internal/frozen"
	"github.com/snibdb/snib/bench/internal/peer"
)

// postgresStore is a careful program on PostgreSQL: the rows and checks of the
// SQLite contenders, each operation one statement, prepared by the driver.
type postgresStore struct {
	pool *pgxpool.Pool
	now  func() time.Time
}

const postgresSchema = `
CREATE TABLE IF NOT EXISTS users (
	id text COLLATE "C" PRIMARY KEY, identifier text NOT NULL UNIQUE, password_hash text NOT NULL,
	created_at bigint NOT NULL, updated_at bigint NOT NULL, attributes bytea NOT NULL
);
CREATE TABLE IF NOT EXISTS sessions (
	id text COLLATE "C" PRIMARY KEY, user_id text COLLATE "C" NOT NULL REFERENCES users(id) ON DELETE CASCADE, secret_hash bytea NOT NULL,
	active_until bigint NOT NULL, idle_until bigint NOT NULL, absolute_until bigint NOT NULL,
	created_at bigint NOT NULL, auth_time bigint NOT NULL, last_used_at bigint NOT NULL
);
CREATE INDEX IF NOT EXISTS sessions_by_user ON sessions(user_id);`

func openPostgres(dir string, o peer.Options) (peer.Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil { // empty: the harness measures it
		return nil, err
	}
	config, err := pgxpool.ParseConfig(os.Getenv(postgresVariable))
	if err != nil {
		return nil, err
	}
	schema := schemaOf("plain", dir)
	config.MaxConns = 64
	config.ConnConfig.RuntimeParams["search_path"] = schema
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	s := &postgresStore{pool: pool, now: o.Now}
	if s.now == nil {
		s.now = time.Now
	}
	if _, err = pool.Exec(ctx, "CREATE SCHEMA IF NOT EXISTS "+schema); err == nil {
		_, err = pool.Exec(ctx, postgresSchema)
	}
	if err != nil {
		pool.Close()
		return nil, err
	}
	return s, nil
}

// batch runs statements in one transaction.
func (s *postgresStore) batch(fn func(*pgx.Batch) error) error {
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		b := &pgx.Batch{}
		if err := fn(b); err != nil {
			return err
		}
		return tx.SendBatch(ctx, b).Close()
	})
}

// AddUsers implements peer.Store.
func (s *postgresStore) AddUsers(list []peer.User) error {
	return addUsers(list, s.batch, func(b *pgx.Batch, u peer.User) error {
		attributes, err := frozen.EncodeAttributes(u.Attributes)
		now := s.now().UnixMilli()
		b.Queue(`INSERT INTO users VALUES ($1, $2, $3, $4, $5, $6)`, u.ID, u.Identifier, u.PasswordHash, now, now, []byte(attributes))
		return err
	})
}

const insertSession = `INSERT INTO sessions VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`

// newSession returns a token and the values of its row.
func (s *postgresStore) newSession(userID string) (token string, row []any) {
	now := s.now()
	id := peer.NewID("ses_", now)
	token, hash := peer.NewToken(id)
	made, deadline := now.UnixMilli(), now.Add(peer.Life).UnixMilli()
	return token, []any{id, userID, hash[:], deadline, deadline, deadline, made, made, made}
}

// AddSessions implements peer.Store.
func (s *postgresStore) AddSessions(userIDs []string, each func(string)) error {
	return addSessions(userIDs, each, s.batch, func(b *pgx.Batch, id string) (string, error) {
		token, row := s.newSession(id)
		b.Queue(insertSession, row...)
		return token, nil
	})
}

// CreateSession implements peer.Store. The foreign key checks that the user
// exists.
func (s *postgresStore) CreateSession(userID string) (string, error) {
	token, row := s.newSession(userID)
	_, err := s.pool.Exec(ctx, insertSession, row...)
	return token, err
}

// find runs a query for the session of a token and checks it. It selects a text,
// the hash and the deadline, and maybe more.
func (s *postgresStore) find(query, token string, more ...any) (text string, err error) {
	id, hash, ok := peer.ParseToken(token)
	if !ok {
		return "", peer.ErrRefused
	}
	var stored []byte
	var deadline int64
	err = s.pool.QueryRow(ctx, query, id).Scan(append([]any{&text, &stored, &deadline}, more...)...)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return "", peer.ErrRefused
	case err == nil && (!peer.SameHash(stored, hash[:]) || deadline <= s.now().UnixMilli()):
		return "", peer.ErrRefused
	}
	return text, err
}

// Validate implements peer.Store.
func (s *postgresStore) Validate(token string) (string, error) {
	return s.find(`SELECT user_id, secret_hash, active_until FROM sessions WHERE id = $1`, token)
}

// ValidateUser implements peer.UserStore.
func (s *postgresStore) ValidateUser(token string) (string, error) {
	var attributes []byte
	return s.find(`SELECT u.identifier, s.secret_hash, s.active_until, u.attributes
		FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.id = $1`, token, &attributes)
}

// DeleteUser implements peer.UserStore.
func (s *postgresStore) DeleteUser(userID string) error {
	_, err := s.pool.Exec(ctx, `DELETE FROM users WHERE id = $1`, userID)
	return err
}

// EndSession implements peer.Ender.
func (s *postgresStore) EndSession(token string) error {
	if _, err := s.Validate(token); err != nil {
		return err
	}
	_, err := s.pool.Exec(ctx, `DELETE FROM sessions WHERE id = $1`, token[:peer.IDLength])
	return err
}

// Extend implements peer.Extender.
func (s *postgresStore) Extend(token string) error {
	if _, err := s.Validate(token); err != nil {
		return err
	}
	now := s.now()
	_, err := s.pool.Exec(ctx, `UPDATE sessions SET active_until = $1, last_used_at = $2 WHERE id = $3`,
		now.Add(peer.Life).UnixMilli(), now.UnixMilli(), token[:peer.IDLength])
	return err
}

// ListSessions implements peer.Lister.
func (s *postgresStore) ListSessions(userID string) (n int, err error) {
	rows, err := s.pool.Query(ctx, `SELECT id, secret_hash, active_until, idle_until, absolute_until, created_at, auth_time, last_used_at
		FROM sessions WHERE user_id = $1`, userID)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	now := s.now().UnixMilli()
	for rows.Next() {
		var id string
		var hash []byte
		var active, idle, absolute, created, auth, used int64
		if err := rows.Scan(&id, &hash, &active, &idle, &absolute, &created, &auth, &used); err != nil {
			return n, err
		}
		if now < active && now < idle && now < absolute {
			n++
		}
	}
	return n, rows.Err()
}

// Close implements peer.Store.
func (s *postgresStore) Close() error {
	s.pool.Close()
	return nil
}
