package tour

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/snibdb/snib"
)

func (t *tour) createUser() error {
	ada, err := t.db.CreateUser(t.ctx, snib.NewUser{
		Provider: "email", Identifier: address, Password: password,
		Attributes: snib.Attributes{"username": "Ada", "city": "London", madeHere: true},
	})
	if err != nil {
		return err
	}
	t.ada = ada
	t.title("create a user", "%s is %s", address, ada.ID)
	t.say("the id never changes; the password is kept as an argon2id hash")
	return nil
}

func (t *tour) logIn() error {
	_, _, err := t.db.LogIn(t.ctx, "email", address, "a wrong password", snib.SessionOptions{})
	if err := refused("a wrong password", err, snib.ErrInvalidCredentials); err != nil {
		return err
	}
	// The address is compared as addresses are.
	session, _, err := t.db.LogIn(t.ctx, "email", "Ada@Example.com", password, snib.SessionOptions{
		Attributes: snib.Attributes{"device": "laptop"},
	})
	if err != nil {
		return err
	}
	t.laptop = session
	t.title("log in", "a wrong password is refused, the right one gives %s", session.ID)
	t.say("printed, its token is %v; the bearer gets %s with 32 random bytes in it", session.Token, prefix(session.Token.Reveal()))
	return nil
}

func (t *tour) validate() error {
	session, user, err := t.db.ValidateSessionUser(t.ctx, t.laptop.Token.Reveal())
	if err != nil {
		return err
	}
	name, _ := snib.Attr[string](user.Attributes(), "username")
	t.title("validate", "the token is %s's on the %v, %v until %s UTC", name,
		session.Attributes()["device"], session.State, session.ActiveUntil.Format(time.DateTime))
	t.say("that was a read: validation never writes")
	return nil
}

func (t *tour) updateProviderID() error {
	ada, err := t.db.UpdateUserProviderID(t.ctx, t.ada.ID, "email", newAddress)
	if err != nil {
		return err
	}
	_, err = t.db.GetUserByProviderID(t.ctx, "email", address)
	if err := refused("the old address", err, snib.ErrUserNotFound); err != nil {
		return err
	}
	found, err := t.db.GetUserByProviderID(t.ctx, "email", newAddress)
	if err != nil {
		return err
	}
	if found.ID != ada.ID {
		return fmt.Errorf("the new address finds %s", found.ID)
	}
	t.title("update provider id", "%s finds nobody from now on,", address)
	t.say("%s finds the same user", newAddress)
	return nil
}

func (t *tour) updatePassword() error {
	phone, _, err := t.db.LogIn(t.ctx, "email", newAddress, password, snib.SessionOptions{})
	if err != nil {
		return err
	}
	old := t.laptop
	t.laptop, err = t.db.ChangePassword(t.ctx, old.Token.Reveal(), password, changed)
	if err != nil {
		return err
	}
	if t.ada, err = t.db.GetUser(t.ctx, t.ada.ID); err != nil {
		return err
	}
	_, err = t.db.ValidateSession(t.ctx, phone.Token.Reveal())
	if err := refused("the session on the phone", err, snib.ErrInvalidSession); err != nil {
		return err
	}
	if _, err := t.db.ValidateSession(t.ctx, t.laptop.Token.Reveal()); err != nil {
		return err
	}
	_, err = t.db.ValidateSession(t.ctx, old.Token.Reveal())
	if err := refused("the laptop's old token", err, snib.ErrInvalidSession); err != nil {
		return err
	}
	_, err = t.db.AuthenticateUser(t.ctx, "email", newAddress, password)
	if err := refused("the old password", err, snib.ErrInvalidCredentials); err != nil {
		return err
	}
	t.title("update password", "the old password is refused, and the session on the phone has ended;")
	t.say("the one on the laptop goes on under a new token")
	return nil
}

func (t *tour) updateAttributes() error {
	ada, err := t.db.UpdateUserAttributes(t.ctx, t.ada.ID, snib.Attributes{
		"phone": nil,        // present, and null
		"city":  snib.Unset, // gone
	})
	if err != nil {
		return err
	}
	all := ada.Attributes()
	_, hasPhone := all["phone"]
	_, hasCity := all["city"]
	if all["username"] != "Ada" || !hasPhone || hasCity {
		return fmt.Errorf("the attributes are %v", all)
	}
	t.title("update attributes", "phone set to null, city unset, username not given; now:")
	t.say("username %v, phone %v", all["username"], all["phone"])
	return nil
}

// uniqueAttribute shows an attribute that can be looked up and be taken.
func (t *tour) uniqueAttribute() error {
	_, err := t.db.CreateUser(t.ctx, snib.NewUser{
		Provider: "email", Identifier: "other@example.com",
		Attributes: snib.Attributes{"username": "ADA"},
	})
	taken, ok := errors.AsType[*snib.AttributeTakenError](err)
	if !ok {
		return fmt.Errorf("a taken username: got %v", err)
	}
	_, err = t.db.GetUserByProviderID(t.ctx, "email", "other@example.com")
	if err := refused("the second user", err, snib.ErrUserNotFound); err != nil {
		return err
	}
	found, err := t.db.GetUserByAttribute(t.ctx, "username", "aDa")
	if err != nil {
		return err
	}
	t.title("unique attribute", "username aDa finds %s;", found.ID)
	t.say("a second user ADA: %q, and no user was made", taken)
	return nil
}

func (t *tour) refreshToken() error {
	session, first, err := t.db.CreateRefreshToken(t.ctx, t.ada, snib.SessionOptions{})
	if err != nil {
		return err
	}
	next, second, err := t.db.Refresh(t.ctx, first.Token.Reveal())
	if err != nil {
		return err
	}
	_, err = t.db.ValidateSession(t.ctx, session.Token.Reveal())
	if err := refused("the session before the rotation", err, snib.ErrInvalidSession); err != nil {
		return err
	}
	// The answer was lost on the way: the client asks again.
	again, _, err := t.db.Refresh(t.ctx, first.Token.Reveal())
	if err != nil {
		return err
	}
	if again.ID != next.ID || again.Token.Reveal() != next.Token.Reveal() {
		return errors.New("a repeated refresh gave another session")
	}
	_, third, err := t.db.Refresh(t.ctx, second.Token.Reveal())
	if err != nil {
		return err
	}
	t.refresh = first
	t.title("refresh", "each use gives the next token and a new session; a use repeated at once")
	t.say("(a lost answer) gives the same again. %s after %d rotations", third.ID, third.Rotations)
	return nil
}

// reuse presents the first token after the second was used: a copy was kept.
func (t *tour) reuse() error {
	_, _, err := t.db.Refresh(t.ctx, t.refresh.Token.Reveal())
	reused, ok := errors.AsType[*snib.ReuseError](err)
	if !ok {
		return fmt.Errorf("a refresh token used twice: got %v", err)
	}
	left, err := t.db.RefreshTokens().List(t.ctx, t.ada.ID)
	if err != nil {
		return err
	}
	t.title("reuse detected", "%v;", reused)
	t.say("that device is logged out: %d refresh tokens are left", len(left))
	return nil
}

// oneTimeToken is a password reset: one commit uses the token and sets the
// password, so that the token is spent if and only if the password was set.
func (t *tour) oneTimeToken() error {
	request, err := t.db.Tokens().BeginReset(t.ctx, "email", newAddress, time.Hour) // alike for every address
	if err != nil {
		return err
	}
	link, err := t.db.Tokens().StoreReset(t.ctx, request) // behind the answer
	if err != nil {
		return err
	}
	mailed := link.Token.Reveal()
	if _, err := t.db.Tokens().FinishReset(t.ctx, mailed, reset); err != nil {
		return err
	}
	_, err = t.db.Tokens().FinishReset(t.ctx, mailed, reset)
	if err := refused("the link, clicked again", err, snib.ErrInvalidOneTimeToken); err != nil {
		return err
	}
	_, err = t.db.ValidateSession(t.ctx, t.laptop.Token.Reveal())
	if err := refused("the laptop after the reset", err, snib.ErrInvalidSession); err != nil {
		return err
	}
	t.title("one-time token", "a mailed link sets a new password in one commit with its own end;")
	t.say("clicked again it is refused, and every session has ended")
	return nil
}

func (t *tour) delete() error {
	var err error
	t.laptop, t.ada, err = t.db.LogIn(t.ctx, "email", newAddress, reset, snib.SessionOptions{})
	if err != nil {
		return err
	}
	_, t.refresh, err = t.db.CreateRefreshToken(t.ctx, t.ada, snib.SessionOptions{})
	if err != nil {
		return err
	}
	link, err := t.db.Tokens().Create(t.ctx, t.ada.ID, "verify-email", time.Hour, nil)
	if err != nil {
		return err
	}
	t.mailed = link.Token.Reveal()
	before, err := t.mentions(string(t.ada.ID))
	if err != nil {
		return err
	}
	if err := t.db.DeleteUser(t.ctx, t.ada.ID); err != nil {
		return err
	}
	after, err := t.mentions(string(t.ada.ID))
	if err != nil {
		return err
	}
	if before == 0 || after != 0 {
		return fmt.Errorf("the records mentioned the user %d times before, %d times after", before, after)
	}
	t.title("delete the user", "the user has a session, a refresh token and a one-time token again;")
	t.say("mentions of the user in all records: %d before, %d after", before, after)
	return nil
}

// nothingIsLeft presents everything that the user had.
func (t *tour) nothingIsLeft() error {
	_, err := t.db.ValidateSession(t.ctx, t.laptop.Token.Reveal())
	if err := refused("session token", err, snib.ErrInvalidSession); err != nil {
		return err
	}
	_, _, err = t.db.Refresh(t.ctx, t.refresh.Token.Reveal())
	if err := refused("refresh token", err, snib.ErrInvalidRefreshToken); err != nil {
		return err
	}
	_, err = t.db.Tokens().Use(t.ctx, "verify-email", t.mailed)
	if err := refused("one-time token", err, snib.ErrInvalidOneTimeToken); err != nil {
		return err
	}
	_, _, err = t.db.LogIn(t.ctx, "email", newAddress, reset, snib.SessionOptions{})
	if err := refused("password", err, snib.ErrInvalidCredentials); err != nil {
		return err
	}
	t.title("nothing is left", "session, refresh and one-time token and password are refused;")
	other, err := t.db.CreateUser(t.ctx, snib.NewUser{
		Provider: "email", Identifier: newAddress,
		Attributes: snib.Attributes{"username": "Ada", madeHere: true},
	})
	if err != nil {
		return err
	}
	t.say("address and username are free: %s has them, and is deleted too", other.ID)
	t.ada = other
	return t.db.DeleteUser(t.ctx, other.ID)
}

// mentions counts how often text is in an export of all records, keys included.
// It has no one-time tokens.
func (t *tour) mentions(text string) (int, error) {
	var all bytes.Buffer
	if _, err := t.db.File().Export(t.ctx, &all); err != nil {
		return 0, err
	}
	return bytes.Count(all.Bytes(), []byte(text)), nil
}

func (t *tour) reopen() error {
	if err := t.db.Close(); err != nil {
		return err
	}
	_, err := t.db.GetUser(t.ctx, t.ada.ID)
	if err := refused("a call after Close", err, snib.ErrClosed); err != nil {
		return err
	}
	// Without Indexes it is opened as the store declares.
	db, err := t.store.Open(t.ctx, nil)
	if err != nil {
		return err
	}
	t.db = db
	t.title("close and reopen", "a call in between: %q", snib.ErrClosed)
	return nil
}

func (t *tour) check() error {
	report, err := t.db.Check(t.ctx)
	if err != nil {
		return err
	}
	t.title("check", "every record, checksum and index verified: %d problems;", report.Found)
	t.say("%d users, %d sessions, %d refresh tokens, %d one-time tokens",
		report.Users, report.Records["sessions"], report.Records["refresh_families"], report.Records["one_time_tokens"])
	return nil
}
