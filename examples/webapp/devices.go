package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibhttp"
)

// A device is a log-in in the list of the user's, as people think of it.
type device struct {
	ID       snib.LoginID
	Name     string // "Firefox on Linux"
	Address  string
	LastUsed moment
	SignedIn moment
	Current  bool // it is the one that looks at the list
}

// devicesOf returns the log-ins of a user: the current one first, then the
// others by latest use.
func devicesOf(now time.Time, logins []snib.Login, current snib.LoginID) []device {
	slices.SortFunc(logins, func(a, b snib.Login) int {
		if (a.ID == current) != (b.ID == current) {
			return map[bool]int{true: -1, false: 1}[a.ID == current]
		}
		return cmp.Or(b.LastUsedAt.Compare(a.LastUsedAt), cmp.Compare(b.ID, a.ID))
	})
	var devices []device
	for _, l := range logins {
		attributes := l.Attributes()
		agent, _ := snib.Attr[string](attributes, snibhttp.AttrUserAgent)
		address, _ := snib.Attr[string](attributes, snibhttp.AttrAddress)
		devices = append(devices, device{
			ID: l.ID, Name: deviceName(agent), Address: address, Current: l.ID == current,
			LastUsed: momentOf(now, l.LastUsedAt), SignedIn: momentOf(now, l.AuthenticatedAt),
		})
	}
	return devices
}

// browsers and systems by words of the User-Agent header. The order matters:
// nearly all claim to be Safari, and most of those Chrome.
var (
	browsers = [][2]string{
		{"Edg/", "Edge"}, {"EdgA/", "Edge"}, {"OPR/", "Opera"}, {"SamsungBrowser/", "Samsung Internet"},
		{"Firefox/", "Firefox"}, {"FxiOS/", "Firefox"}, {"CriOS/", "Chrome"}, {"Chrome/", "Chrome"},
		{"Safari/", "Safari"}, {"curl/", "curl"},
	}
	systems = [][2]string{
		{"Windows", "Windows"}, {"Android", "Android"}, {"iPhone", "iPhone"}, {"iPad", "iPad"},
		{"CrOS", "ChromeOS"}, {"Macintosh", "Mac"}, {"Linux", "Linux"},
	}
)

// deviceName makes a name of a User-Agent header. The client chooses the
// header: users recognise their own devices by it, and no decision may rest on
// it.
func deviceName(agent string) string {
	find := func(table [][2]string) string {
		for _, row := range table {
			if strings.Contains(agent, row[0]) {
				return row[1]
			}
		}
		return ""
	}
	browser, system := find(browsers), find(systems)
	switch {
	case browser == "" && system == "":
		return "Unknown device"
	case browser == "":
		return system
	case system == "":
		return browser
	}
	return browser + " on " + system
}

// A moment is a time as people say it, and as machines do.
type moment struct {
	Ago     string // "5 minutes ago"
	Exact   string // "24 November 2026, 14:05 CET"
	Machine string // for <time datetime>
}

func momentOf(now, t time.Time) moment {
	return moment{Ago: ago(now.Sub(t)), Exact: t.Local().Format("2 January 2006, 15:04 MST"), Machine: t.UTC().Format(time.RFC3339)}
}

func ago(d time.Duration) string {
	for _, unit := range []struct {
		length time.Duration
		name   string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}} {
		switch n := int(d / unit.length); {
		case n == 1:
			return "1 " + unit.name + " ago"
		case n > 1:
			return fmt.Sprint(n, " ", unit.name, "s ago")
		}
	}
	return "just now"
}
