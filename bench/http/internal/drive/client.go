package drive

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/snibdb/snib/bench/http/internal/surface"
)

// A client has one connection, which it uses for all of its requests.
type client struct {
	addr string
	conn net.Conn
	in   *bufio.Reader
}

// patience bounds one request.
const patience = 60 * time.Second

// do sends a request and reads the answer. After an error the next one has a new
// connection.
func (c *client) do(request []byte) (status int, header http.Header, body []byte, err error) {
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	if c.conn == nil {
		if c.conn, err = net.Dial("tcp", c.addr); err != nil {
			return 0, nil, nil, err
		}
		c.in = bufio.NewReader(c.conn)
	}
	if err := c.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return 0, nil, nil, err
	}
	if _, err := c.conn.Write(request); err != nil {
		return 0, nil, nil, err
	}
	answer, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return 0, nil, nil, err
	}
	body, err = io.ReadAll(answer.Body)
	if answer.Close {
		c.close()
	}
	return answer.StatusCode, answer.Header, body, err
}

func (c *client) close() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}

// expect is do for a request that must be answered with 2xx.
func (c *client) expect(request []byte) (http.Header, []byte, error) {
	status, header, body, err := c.do(request)
	if err == nil && status/100 != 2 {
		err = statusError(status)
	}
	return header, body, err
}

// statusError is an answer that is not the one which was asked for.
type statusError int

func (e statusError) Error() string { return "answered with " + strconv.Itoa(int(e)) }

// enter is a sign-up or log-in.
func (c *client) enter(request []byte) (session, error) {
	header, body, err := c.expect(request)
	if err != nil {
		return "", err
	}
	return sessionOf(header, body)
}

// A session is the header lines by which a request is signed in.
type session string

func sessionOf(header http.Header, body []byte) (session, error) {
	var s string
	if cookies := (&http.Response{Header: header}).Cookies(); len(cookies) > 0 {
		list := make([]string, 0, len(cookies))
		for _, x := range cookies {
			list = append(list, x.Name+"="+x.Value)
		}
		s = "Cookie: " + strings.Join(list, "; ") + "\r\n"
	} else {
		var b struct{ Token string }
		if err := json.Unmarshal(body, &b); err != nil || b.Token == "" {
			return "", fmt.Errorf("no session in the answer: %w", err)
		}
		s = "Authorization: Bearer " + b.Token + "\r\n"
	}
	if csrf := header.Get("X-CSRF-Token"); csrf != "" {
		s += "X-CSRF-Token: " + csrf + "\r\n"
	}
	return session(s), nil
}

// The requests, whole: they are made before their time is taken.

func get(path string, s session) []byte {
	return []byte("GET " + path + " HTTP/1.1\r\nHost: " + surface.Host + "\r\nUser-Agent: bench\r\n" + string(s) + "\r\n")
}

func post(path string, s session, body string) []byte {
	return []byte("POST " + path + " HTTP/1.1\r\nHost: " + surface.Host + "\r\nUser-Agent: bench\r\nOrigin: https://" + surface.Host +
		"\r\nContent-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n" + string(s) + "\r\n" + body)
}

func me(s session) []byte     { return get("/me", s) }
func logOut(s session) []byte { return post("/logout", s, "{}") }

// password is that of every user.
const password = "correct horse battery 7"

func signUp(user int) []byte {
	return post("/signup", "", fmt.Sprintf(`{"email":"user%d@example.com","password":%q,"name":"User"}`, user, password))
}

func logIn(user int) []byte { return logInWith(user, password) }

func logInWith(user int, password string) []byte {
	return post("/login", "", fmt.Sprintf(`{"email":"user%d@example.com","password":%q}`, user, password))
}
