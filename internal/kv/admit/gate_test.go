package admit

import (
	"errors"
	"sync"
	"testing"
	"time"
)

func opened() *Gate {
	g := &Gate{}
	g.Init()
	return g
}

// TestGateIsShutOnce: for the first reason, which every later call gets.
func TestGateIsShutOnce(t *testing.T) {
	g, why := opened(), errors.New("why")
	if err := g.Enter(); err != nil || g.Reason() != nil {
		t.Fatalf("open: %v, %v", err, g.Reason())
	}
	if !g.Shut(why) || g.Shut(errors.New("later")) {
		t.Error("the first Shut did not shut it, or the second one did")
	}
	if err := g.Enter(); err != why || g.Reason() != why {
		t.Errorf("shut: %v, %v, want the first reason", err, g.Reason())
	}
	g.Leave()
	g.Wait(nil)
}

// TestGateWaitsForTheLast: Wait does not return while a call is inside, however many
// come and go.
func TestGateWaitsForTheLast(t *testing.T) {
	for range 200 {
		g := opened()
		var calls sync.WaitGroup
		for range 8 {
			calls.Go(func() {
				for g.Enter() == nil {
					g.Leave()
				}
			})
		}
		if err := g.Enter(); err != nil {
			t.Fatal(err)
		}
		over := make(chan struct{})
		go func() {
			g.Shut(errors.New("why"))
			g.Wait(nil)
			close(over)
		}()
		calls.Wait() // all have seen it shut
		select {
		case <-over:
			t.Fatal("Wait has returned with a call inside")
		default:
		}
		g.Leave()
		select {
		case <-over:
		case <-time.After(time.Minute):
			t.Fatal("Wait has not returned after the last call")
		}
	}
}

// TestGateGivesUp on calls inside that will never leave.
func TestGateGivesUp(t *testing.T) {
	g := opened()
	if err := g.Enter(); err != nil {
		t.Fatal(err)
	}
	g.Shut(errors.New("why"))
	asked := make(chan bool)
	over := make(chan struct{})
	go func() {
		g.Wait(func() bool { return <-asked })
		close(over)
	}()
	asked <- false
	g.Poke()
	asked <- true
	select {
	case <-over:
	case <-time.After(time.Minute):
		t.Fatal("Wait has not given up")
	}
}
