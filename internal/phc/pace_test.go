package phc

import (
	"errors"
	"math"
	"testing"
	"time"
)

// costly are within all limits, and take seconds or nearly one.
var costly = []string{
	"$argon2id$v=19$m=262144,t=8,p=1$" + salt16 + "$" + key16,
	"$2b$16$" + bcryptSample,
	"pbkdf2_sha256$5000000$salt$beDL07+lwd9sdQYLxyJ4/9KV4rpI3B3ZBp7SoPq0P/o=",
	"$scrypt$ln=17,r=8,p=2$" + salt16 + "$" + key16,
}

func TestImportRefusesWhatIsSlow(t *testing.T) {
	if raceDetector {
		t.Skip("the time of hashing says nothing")
	}
	h, passes := newHasher(t, Config{})
	if h.importTime != time.Second {
		t.Errorf("the default is %v", h.importTime)
	}
	asked, _ := newHasher(t, Config{ImportTime: -1})
	for _, text := range costly {
		p, err := asked.convert(Foreign{Text: text})
		if err != nil {
			t.Errorf("%.20s, asked for: %v", text, err)
			continue
		}
		h.importTime = p.Cost() / 2
		if hash, err := h.Convert(Foreign{Text: text}); hash != "" || !errors.Is(err, ErrSlow) {
			t.Errorf("%.20s: %q, %v, want %v", text, hash, err, ErrSlow)
		}
		h.importTime = 2 * p.Cost()
		if _, err := h.Convert(Foreign{Text: text}); err != nil {
			t.Errorf("%.20s, within the time: %v", text, err)
		}
	}
	h.importTime = time.Second
	if _, err := h.Convert(Foreign{Text: "$2b$06$" + bcryptSample}); err != nil {
		t.Errorf("bcrypt of cost 6: %v", err)
	}
	if n := len(passes()); n != 0 {
		t.Errorf("%d passes were computed", n)
	}
}

// TestCostFollowsTheParameters compares estimates with each other, and loosely
// with what a verification takes.
func TestCostFollowsTheParameters(t *testing.T) {
	if raceDetector {
		t.Skip("the time of hashing says nothing")
	}
	for _, pair := range [][2]string{
		{"$argon2id$v=19$m=8192,t=1,p=1$" + salt16 + "$" + key16, "$argon2id$v=19$m=8192,t=2,p=1,pw=both$" + salt16 + "$" + key16},
		{"$scrypt$ln=12,r=8,p=1$" + salt16 + "$" + key16, "$scrypt$ln=12,r=16,p=2$" + salt16 + "$" + key16},
		{"$pbkdf2-sha512$i=9000$" + salt16 + "$" + base64Of(64), "$pbkdf2-sha512$i=18000$" + salt16 + "$" + base64Of(65)},
		{"$bcrypt$cost=6$" + salt16 + "$" + key23, "$bcrypt$cost=8$" + salt16 + "$" + key23},
		{"$phpass-md5$ln=12$" + base64Of(8) + "$" + key16, "$phpass-md5$ln=14$" + base64Of(8) + "$" + key16},
		{"$sha512-crypt$rounds=1000$AA$" + base64Of(64), "$sha512-crypt$rounds=4000$AA$" + base64Of(64)},
	} {
		cheap, err := Parse(pair[0], Limits{})
		dear, err2 := Parse(pair[1], Limits{})
		if err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
		ratio := float64(dear.Cost()) / float64(cheap.Cost())
		if ratio < 3.9 || ratio > 4.1 {
			t.Errorf("%s: %v, %s: %v, want four times that", cheap.Class(), cheap.Cost(), dear.Class(), dear.Cost())
		}
		took := time.Duration(math.MaxInt64)
		for range 50 { // other programs may run meanwhile: the least is what it needs
			start := time.Now()
			if _, err := cheap.scheme.match(&cheap, "password"); err != nil {
				t.Fatal(err)
			}
			if took = min(took, time.Since(start)); took <= 100*cheap.Cost() {
				break
			}
		}
		if took > 100*cheap.Cost() || cheap.Cost() > 100*took { // short passwords take less
			t.Errorf("%s took %v, estimated %v", cheap.Class(), took, cheap.Cost())
		}
	}
}
