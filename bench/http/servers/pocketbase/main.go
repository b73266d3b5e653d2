//go:build !light

// Command pocketbase serves the collection of users that a new PocketBase has, by
// routes of the program's own, which its documentation calls extending.
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"

	"github.com/pocketbase/dbx"
	"github.com/pocketbase/pocketbase"
	"github.com/pocketbase/pocketbase/apis"
	"github.com/pocketbase/pocketbase/core"

	"github.com/snibdb/snib/bench/http/internal/surface"
)

const collection = "users"

func main() {
	if err := run(surface.Parse()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(o surface.Options) error {
	config := pocketbase.Config{DefaultDataDir: o.Dir, HideStartBanner: true}
	if o.Sync == "full" { // else its own, which is normal
		config.DBConnect = func(path string) (*dbx.DB, error) {
			return dbx.Open("sqlite", "file:"+path+pragmas)
		}
	}
	app := pocketbase.NewWithConfig(config)
	if err := app.Bootstrap(); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	app.OnServe().BindFunc(func(e *core.ServeEvent) error {
		e.Listener, e.InstallerFunc = listener, nil
		e.Router.POST("/signup", signUp)
		e.Router.POST("/login", logIn)
		e.Router.GET("/me", me).Bind(apis.RequireAuth(collection))
		e.Router.POST("/logout", logOut).Bind(apis.RequireAuth(collection))
		surface.Announce(listener.Addr())
		return e.Next()
	})
	go surface.UntilEnd(func() {
		event := &core.TerminateEvent{App: app}
		_ = app.OnTerminate().Trigger(event, func(e *core.TerminateEvent) error { return e.App.ResetBootstrapState() })
		os.Exit(0)
	})
	return apis.Serve(app, apis.ServeConfig{HttpAddr: listener.Addr().String()})
}

// pragmas are PocketBase's own, but for synchronous.
const pragmas = "?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=journal_size_limit(200000000)" +
	"&_pragma=synchronous(FULL)&_pragma=foreign_keys(ON)&_pragma=temp_store(MEMORY)&_pragma=cache_size(-32000)"

func signUp(e *core.RequestEvent) error {
	var c surface.Credentials
	if err := e.BindBody(&c); err != nil {
		return e.BadRequestError("body", err)
	}
	users, err := e.App.FindCachedCollectionByNameOrId(collection)
	if err != nil {
		return err
	}
	user := core.NewRecord(users)
	user.SetEmail(c.Email)
	user.SetPassword(c.Password)
	if err := e.App.SaveWithContext(e.Request.Context(), user); err != nil {
		return e.BadRequestError("account", err)
	}
	return apis.RecordAuthResponse(e, user, core.MFAMethodPassword, nil)
}

func logIn(e *core.RequestEvent) error {
	var c surface.Credentials
	if err := e.BindBody(&c); err != nil {
		return e.BadRequestError("body", err)
	}
	user, err := e.App.FindAuthRecordByEmail(collection, c.Email)
	if err != nil || !user.ValidatePassword(c.Password) {
		return e.BadRequestError("wrong address or password", err)
	}
	return apis.RecordAuthResponse(e, user, core.MFAMethodPassword, nil)
}

func me(e *core.RequestEvent) error {
	return e.JSON(http.StatusOK, map[string]string{"id": e.Auth.Id, "email": e.Auth.Email()})
}

// logOut makes all tokens of the user void: a single one cannot be.
func logOut(e *core.RequestEvent) error {
	e.Auth.RefreshTokenKey()
	if err := e.App.SaveWithContext(e.Request.Context(), e.Auth); err != nil {
		return err
	}
	return e.NoContent(http.StatusNoContent)
}
