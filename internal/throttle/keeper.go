package throttle

import (
	"context"
	"sync"
	"time"
)

// How long a change waits to be stored.
const (
	storeEvery = time.Minute
	storeSoon  = time.Second
)

// A Keeper stores the blocks of a Limiter in the background: at the end of a
// minute, or after a second where they make callers wait, [Budget] a minute at
// most, and all of them by Stop. No answer waits for that. A process that is
// killed loses a minute of the first four failures of each name, and a second of
// the others.
type Keeper struct {
	*Limiter
	KeeperConfig

	storing sync.Mutex // held from Take to the end of Store, and by a reading

	mu       sync.Mutex
	timer    *time.Timer
	armed    uint64 // how often it was set
	soon     bool   // the timer runs for a second, or for the next budget
	closed   bool
	unfollow context.CancelFunc // ends Follow
	done     sync.WaitGroup

	refused int
	told    int64 // Unix milliseconds
}

// KeeperConfig are the functions that a Keeper calls. All are required.
type KeeperConfig struct {
	Now     func() int64 // Unix milliseconds
	Store   func(context.Context, []Record) error
	Refused func(attempts int) // since the last call; once a second at most
	Failed  func(error)        // of Store
}

// NewKeeper returns a Keeper of l.
func NewKeeper(l *Limiter, c KeeperConfig) *Keeper { return &Keeper{Limiter: l, KeeperConfig: c} }

// Refuse notes an attempt that must wait. Strangers can cause as many as they
// like, so it is told once a second.
func (k *Keeper) Refuse(now int64) {
	k.mu.Lock()
	k.refused++
	n, due := k.refused, now-k.told >= 1000 || now < k.told
	if due {
		k.refused, k.told = 0, now
	}
	k.mu.Unlock()
	if due {
		k.Refused(n)
	}
}

// Changed sees to it that a change will be stored.
func (k *Keeper) Changed() {
	some, urgent := k.Pending()
	if !some {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.timer != nil && (k.soon || !urgent) {
		return
	}
	if urgent {
		k.armLocked(storeSoon, true)
	} else {
		k.armLocked(storeEvery, false)
	}
}

// armLocked sets the timer. The caller holds mu.
func (k *Keeper) armLocked(wait time.Duration, soon bool) {
	if k.closed {
		return
	}
	k.disarmLocked()
	k.soon = soon
	k.armed++
	k.done.Add(1)
	armed := k.armed
	k.timer = time.AfterFunc(wait, func() {
		defer k.done.Done()
		k.run(armed)
	})
}

// disarmLocked stops the timer. The caller holds mu.
func (k *Keeper) disarmLocked() {
	if k.timer != nil && k.timer.Stop() {
		k.done.Done()
	}
	k.timer = nil
}

// run stores once, and rests for a minute if the budget is spent. The timer may
// have been set again since it was armed for this.
func (k *Keeper) run(armed uint64) {
	k.mu.Lock()
	if k.armed == armed {
		k.timer = nil
	}
	closed := k.closed
	k.mu.Unlock()
	if closed {
		return
	}
	if k.flush(context.Background(), false) {
		k.mu.Lock()
		k.armLocked(storeEvery, true)
		k.mu.Unlock()
		return
	}
	k.Changed() // meanwhile
}

// flush stores as much as the budget allows, or all, and reports whether a rest
// must wait: the budget is spent, or the store has failed.
func (k *Keeper) flush(ctx context.Context, all bool) (rest bool) {
	k.storing.Lock()
	defer k.storing.Unlock()
	records, spent := k.Take(k.Now(), all)
	if len(records) == 0 {
		return spent
	}
	if err := k.Store(ctx, records); err != nil {
		k.Return(records)
		k.Failed(err)
		return true
	}
	return spent
}

// Follow reads the counts of other processes once a minute, until Stop.
func (k *Keeper) Follow(read func(context.Context) ([]Record, error)) {
	ctx, cancel := context.WithCancel(context.Background())
	k.mu.Lock()
	k.unfollow = cancel
	k.mu.Unlock()
	k.done.Go(func() {
		ticker := time.NewTicker(storeEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			if err := k.Read(ctx, read); err != nil && ctx.Err() == nil {
				k.Failed(err)
			}
		}
	})
}

// Read reads the counts of other processes.
func (k *Keeper) Read(ctx context.Context, read func(context.Context) ([]Record, error)) error {
	k.storing.Lock()
	defer k.storing.Unlock()
	records, err := read(ctx)
	if err != nil {
		return err
	}
	for _, r := range records {
		k.Renew(r)
	}
	return nil
}

// Stop ends the background writes, and stores the rest under ctx.
func (k *Keeper) Stop(ctx context.Context) {
	k.mu.Lock()
	k.closed = true
	if k.unfollow != nil {
		k.unfollow()
	}
	k.disarmLocked()
	k.mu.Unlock()
	k.done.Wait()
	k.flush(ctx, true)
}
