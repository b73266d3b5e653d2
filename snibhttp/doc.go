// Package snibhttp puts the accounts of a [snib.DB] behind the handlers of
// net/http: a cookie for browsers, bearer tokens for native clients, and
// protection against requests that other sites make a browser send. It works
// with http.ServeMux and everything that takes a
// func(http.Handler) http.Handler.
//
// # Signing up
//
// A link that is mailed proves the address of whoever follows it, and not that the
// same person has filled in the form: a password of that form could be a stranger's.
// So the form asks for the address alone, and the page of the link for the password:
//
//	up, err := db.Identities().BeginSignUp(ctx, "email", address, 24*time.Hour)
//	// Answer alike for every address; behind the answer mail up.Token, or, with
//	// up.UserID, that there is an account.
//
//	// When the page of the link posts its token and a password:
//	u, err := db.Identities().FinishSignUp(ctx, token, snib.NewUser{Password: password})
//	_, err = manager.LogIn(w, r, u, manager.SessionOptions(r))
//
// # Signing in and out
//
// A sign-in handler calls [snib.DB.LogIn] with [Manager.SessionOptions] and
// gives the session to [Manager.SetSession]; where the user was authenticated
// in another way, [Manager.LogIn] makes the session. Both end the session that
// the request carries, so that a planted one gains nothing (fixation), and set
// the cookie after the commit. Put the handler behind [Manager.Optional] or
// [Manager.Protect], or give its calls the context of [Manager.ClientContext]: without
// that the database does not know the client, and no limit of a network slows down
// guesses. [Manager.LogOut], [Manager.LogOutOthers] and
// [Manager.LogOutEverywhere] end sessions. Pass their errors to
// [Manager.Error], unless the handler has its own answer.
//
// Of a user with a second factor, log-ins return snib.ErrSecondFactor and set a
// cookie for the second step, in which [Manager.FinishLogIn] takes the code, and
// [Manager.TrustDevice] lets later ones from this browser do without.
// [Manager.ChangeCredentials] shows how to add a factor.
//
// [Manager.Require] lets only signed-in requests through, [Manager.RequireFresh]
// only those with a recent log-in, [Manager.RequireRole] only those of users with
// a role, [Manager.Optional] all; behind them,
// [FromContext] returns the session and user. [Manager.Reauthenticate] asks for
// the password and makes the log-in recent. [Manager.ChangePassword] and
// [Manager.ChangeCredentials] change the ways in and set a new cookie, so that a
// stolen one is worth nothing. A request costs one look into the
// database and no write. A session in use is extended in place, its token and
// cookie staying the same, at most once in Options.Sessions.ExtendEvery of the
// database: parallel requests and tabs never log each other out.
//
// # The cookie
//
// It is HttpOnly, SameSite=Lax, of Path=/ and no Domain, and Secure with the
// prefix __Host- under the profile [HTTPS], which is the default. The browser
// keeps it until the session's absolute deadline; whether the session is still
// good is for the database to say. Browsers drop a cookie after 400 days: that
// of a session that lives longer is set again in the second half of that time,
// with the same token. Of a session that is not Persistent ("remember me"), it ends
// with the browser: [Manager.SessionOptions].
//
// A request with two of the name is signed out, and a warning is logged:
// another port or host has planted one. The answer deletes the planted ones,
// under every path and domain that they can have, and leaves ours, which counts
// again once no planted one is left. A cookie whose session has ended is left
// alone, as deleting it could hit that of a log-in in another tab.
//
// # The device cookie
//
// A log-in whose session outlives the browser makes the browser a known device
// of its user ([snib.Devices]), by a second cookie: that of the session with
// ".device" behind its name, alike in all else, for 400 days. It holds the
// tokens of the last five users who logged in there. The middleware tells the
// database by it ([snib.WithDevice]), and so strangers who guess at a password
// do not keep its owner's browser out. It lets nobody in.
//
// It stays through [Manager.LogOut], as its work begins there. LogOutOthers and
// ChangePassword give it a new secret, LogOutEverywhere ends it. On a computer that is
// lent the user does not ask to be remembered, and there is no such cookie.
// A negative KnownDevice in the database's SessionPolicy switches it off.
//
// # Cross-site requests
//
// A request that may change something (by its method, or because it asks for an
// Upgrade) must come from a page of this program. That is decided by Origin and
// Sec-Fetch-Site as [http.CrossOriginProtection] does, and more strictly: with
// neither header it is refused, as is an Origin that differs in its scheme,
// host or port, WebSocket handshakes included; only Options.TrustedOrigins are
// excepted, and may thus act as the user. A Host is compared as browsers write
// it: a proxy may add the scheme's own port. Each refusal is logged with the
// setting that would let it through. It holds whether there is a cookie or not,
// hence for sign-up and sign-in too, in the middleware and once more in the
// methods that set or delete the cookie. Safe methods (GET, HEAD, OPTIONS)
// pass: handlers must change nothing for them.
//
// Requests with a bearer token are exempt: a browser sends no such token by
// itself. Endpoints for programs that have neither headers nor token yet (a
// native log-in, a webhook) do not belong behind this middleware, and a handler
// that answers CORS preflights belongs in front of it.
//
// The callback of a provider that posts its answer (form_post) comes from
// another site, without the cookie. Take it outside of this middleware, let it
// do nothing but redirect by 303 to a GET of this program, and there compare
// the state with the one kept in a cookie. TrustedOrigins would trust the
// provider with every request.
//
// # Native clients
//
// If there is an Authorization header of the scheme Bearer, it alone decides:
// the cookie is neither read nor set; Options.IgnoreAuthorization is for
// proxies that send one of their own. Its token is that of a session. Clients
// that keep a refresh token exchange it at [Manager.TokenHandler] and end it at
// [Manager.RevokeHandler]; the handler that logs them in calls
// [snib.Factors.LogInRefreshToken], which takes a code too, and answers with
// [WriteTokens]. A refresh token that comes twice has been copied: Options.Reused
// tells the program.
//
// That handler stands outside of the middleware, so it tells the database the
// client itself, by the context of [Manager.ClientContext]; without that, no limit of a
// network slows down guesses at many accounts.
//
// A native client that sets a new password loses its refresh token with all others.
// Give the token of its Authorization header to [snib.DB.ChangePassword], and log it
// in by the new password, with the Token that came back in SessionOptions.Replaces.
//
// # API keys
//
// Programs that act for a user present an API key ([snib.APIKeys]) as a bearer
// token. [Manager.RequireKey] is the middleware of their routes, and [KeyFrom]
// what it finds. A key is never taken for a session: a handler that asks
// [FromContext] for the user serves no key, and so deletes no account by one.
//
// # Caches, streams and failures
//
// Answers to signed-in requests, and all that set a cookie, are Cache-Control:
// no-store; all that depend on it have Vary. The ResponseWriter is handed on as
// it is: flushing, hijacking, http.ResponseController and HTTP/2 work.
//
// Trouble of the database is a 503 with Retry-After and a line in the log, and
// never signs a user out. Options.Refuse replaces the answers of this package.
//
// # What is not protected
//
// An attacker that can run a script in a page of the program, or listen to
// plain HTTP, acts as the user. Under the plain-HTTP profiles the cookie is
// seen, and can be replaced, by programs on other ports of the host. One that
// they plant where there is no other, before a log-in say, is a log-in to an
// account of theirs: a page that takes something of the user's should show
// whose account it is. The middleware
// tells the database whose request it is, by which it throttles: see
// Options.TrustedProxies.
//
// no-store keeps pages out of caches on disk. Chromium keeps the last ones in
// memory all the same, and going back after a sign-out shows them, unless the
// page that is shown then loads something whose answer has Clear-Site-Data:
// "cache". On the answer to the sign-out itself that header comes too early.
package snibhttp
