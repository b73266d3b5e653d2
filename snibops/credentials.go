package snibops

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/snibdb/snib"
)

func doUserResetLink(a *act, args ResetLinkArgs, _ func(None) error) (ResetLink, error) {
	u, err := a.find(args.User)
	if err != nil {
		return ResetLink{}, err
	}
	purpose, url, ttl := args.Purpose, args.URL, time.Duration(args.TTL)
	if purpose == "" {
		purpose = a.o.ResetPurpose
	}
	if url == "" {
		url = a.o.ResetURL
	}
	if ttl == 0 {
		ttl = time.Hour
	}
	var made snib.OneTimeToken
	if purpose == "" {
		made, err = a.db.Tokens().CreateReset(a.ctx, u.ID, ttl)
	} else {
		made, err = a.db.Tokens().Create(a.ctx, u.ID, purpose, ttl, nil)
	}
	if err != nil {
		return ResetLink{}, err
	}
	link := ResetLink{
		UserID: string(u.ID), ID: string(made.ID), Token: made.Token.Reveal(), Purpose: made.Purpose, ExpiresAt: utc(made.ExpiresAt),
	}
	if url != "" {
		link.Link = url + link.Token
	}
	return link, nil
}

// logIns reads the live sessions and families of a user.
func logIns(ctx context.Context, tx *snib.Tx, id snib.UserID) ([]snib.Session, []snib.RefreshToken, error) {
	sessions, err := tx.ListUserSessions(id)
	if err != nil {
		return nil, nil, err
	}
	families, err := tx.RefreshTokens().List(ctx, id)
	return sessions, families, err
}

func doSessions(a *act, args UserArgs, item func(SessionItem) error) (SessionsCount, error) {
	u, err := a.find(args.User)
	if err != nil {
		return SessionsCount{}, err
	}
	var sessions []snib.Session
	var families []snib.RefreshToken
	err = a.db.View(a.ctx, func(tx *snib.Tx) (err error) {
		sessions, families, err = logIns(a.ctx, tx, u.ID)
		return err
	})
	for _, s := range sessions {
		if err == nil {
			err = item(SessionItem{Session: sessionOf(s)})
		}
	}
	for _, f := range families {
		if err == nil {
			err = item(SessionItem{Family: familyOf(f)})
		}
	}
	return SessionsCount{string(u.ID), len(sessions), len(families)}, err
}

func doUserEndSessions(a *act, args EndSessionsArgs, _ func(None) error) (EndSessionsCount, error) {
	u, err := a.find(args.User)
	if err != nil {
		return EndSessionsCount{}, err
	}
	count := EndSessionsCount{UserID: string(u.ID)}
	err = a.db.Update(a.ctx, func(tx *snib.Tx) error {
		sessions, families, err := logIns(a.ctx, tx, u.ID)
		if err != nil {
			return err
		}
		switch {
		case args.ID == "":
			err = tx.RevokeUserSessions(u.ID)
		case strings.HasPrefix(args.ID, "ses_"):
			err = tx.RevokeSession(u.ID, snib.SessionID(args.ID))
		default:
			err = tx.RefreshTokens().Revoke(a.ctx, u.ID, snib.RefreshTokenID(args.ID))
		}
		if err != nil {
			return err
		}
		count.Sessions, count.Families = len(sessions), len(families)
		sessions, families, err = logIns(a.ctx, tx, u.ID)
		count.Sessions, count.Families = count.Sessions-len(sessions), count.Families-len(families)
		return err
	})
	return count, err
}

func doKeys(a *act, args UserArgs, item func(APIKey) error) (None, error) {
	u, err := a.find(args.User)
	if err != nil {
		return None{}, err
	}
	keys, err := a.db.APIKeys().List(a.ctx, u.ID)
	for _, k := range keys {
		if err == nil {
			err = item(keyOf(k))
		}
	}
	return None{}, err
}

func doKeyRevoke(a *act, args KeyRevokeArgs, _ func(None) error) (None, error) {
	if args.User == "" {
		return None{}, a.db.APIKeys().RevokeByID(a.ctx, snib.APIKeyID(args.ID))
	}
	u, err := a.find(args.User)
	if err == nil {
		err = a.db.APIKeys().Revoke(a.ctx, u.ID, snib.APIKeyID(args.ID))
	}
	return None{}, err
}

// doEvents lists events, and with Follow looks again and again. An event of
// several comes again when it has grown.
func doEvents(a *act, args EventsArgs, item func(Event) error) (None, error) {
	u, err := a.find(args.User)
	if err != nil {
		return None{}, err
	}
	kinds := make([]snib.EventKind, len(args.Kinds))
	for i, k := range args.Kinds {
		kinds[i] = snib.EventKind(k)
	}
	sent := map[snib.EventID]int{} // their counts
	for {
		events, err := a.db.Events().List(a.ctx, u.ID, kinds...)
		if err != nil {
			return None{}, err
		}
		now := make(map[snib.EventID]int, len(events))
		for _, e := range slices.Backward(events) {
			now[e.ID] = e.Count
			if sent[e.ID] != e.Count {
				if err := item(eventOf(e)); err != nil {
					return None{}, err
				}
			}
		}
		sent = now
		if !args.Follow {
			return None{}, nil
		}
		if err := a.w.Flush(); err != nil {
			return None{}, err
		}
		if err := rest(a.ctx, followTime); err != nil {
			return None{}, err
		}
		if _, err := a.db.GetUser(a.ctx, u.ID); err != nil {
			return None{}, err // deleted meanwhile
		}
	}
}
