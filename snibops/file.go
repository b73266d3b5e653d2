package snibops

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"sync"

	"github.com/snibdb/snib"
)

func doPing(a *act, _ None, _ func(None) error) (Info, error) {
	info := a.info
	info.Actor = a.actor
	return info, nil
}

func doStats(a *act, _ None, _ func(None) error) (Stats, error) {
	s, err := a.db.Stats(a.ctx)
	return statsOf(s), err
}

// during runs something long that writes nothing to the client, which is told the
// progress meanwhile.
func (a *act) during(op string, do func() error) error {
	if a.o.Progress == nil {
		return do()
	}
	a.o.Progress.forget(op)
	ended := make(chan struct{})
	var telling sync.WaitGroup
	telling.Go(func() { a.tell(op, ended) })
	defer telling.Wait()
	defer close(ended)
	return do()
}

// tell writes progress until ended. A client that has gone is noticed elsewhere.
func (a *act) tell(op string, ended <-chan struct{}) {
	for last := (Progress{}); ; {
		if restOr(progressTime, ended) {
			return
		}
		p, ok := a.o.Progress.look(op)
		if !ok || p == last {
			continue
		}
		last = p
		if writeJSON(a.w, kindProgress, p) != nil || a.w.Flush() != nil {
			return
		}
	}
}

func doCheck(a *act, _ None, item func(CheckItem) error) (CheckCount, error) {
	var report snib.CheckReport
	err := a.during("check", func() (err error) {
		report, err = a.db.Check(a.ctx)
		return err
	})
	if err != nil && (report.Found == 0 || !errors.Is(err, snib.ErrCorrupt)) {
		return CheckCount{}, err
	}
	return CountOf(report), items(report, item)
}

// items sends the problems and orphans of a report.
func items(report snib.CheckReport, item func(CheckItem) error) error {
	for _, p := range report.Problems {
		if err := item(CheckItem{Problem: problemOf(p)}); err != nil {
			return err
		}
	}
	for _, o := range report.Orphans {
		if err := item(CheckItem{Orphans: &Orphans{o.Bucket, string(o.UserID), o.Rows}}); err != nil {
			return err
		}
	}
	return nil
}

// doRepair is refused on a live program: its state in memory and its users would
// meet records that change under them, and the operator has to look at what is
// lost before anybody logs in.
func doRepair(a *act, _ None, item func(CheckItem) error) (RepairCount, error) {
	if a.info.Live {
		return RepairCount{}, fmt.Errorf("snibops: repair: %w", ErrFileOnly)
	}
	var report snib.RepairReport
	err := a.during("repair", func() (err error) {
		report, err = a.db.Repair(a.ctx)
		return err
	})
	if err != nil {
		return RepairCount{}, err
	}
	if err := items(report.Before, item); err != nil {
		return RepairCount{}, err
	}
	for _, p := range report.Repairs {
		if err := item(CheckItem{Repair: problemOf(p)}); err != nil {
			return RepairCount{}, err
		}
	}
	return RepairCount{CountOf(report.Before), report.Repaired, report.Quarantined, report.NotKept}, nil
}

func doCompact(a *act, _ None, _ func(None) error) (CompactResult, error) {
	before, err := a.db.Stats(a.ctx)
	if err != nil {
		return CompactResult{}, err
	}
	if err := a.during("compact", func() error { return a.db.File().Compact(a.ctx) }); err != nil {
		return CompactResult{}, err
	}
	after, err := a.db.Stats(a.ctx)
	return CompactResult{before.FileBytes, after.FileBytes}, err
}

func doReseal(a *act, args ResealArgs, _ func(None) error) (ResealResult, error) {
	var report snib.ResealReport
	err := a.during("reseal", func() (err error) {
		report, err = a.db.File().Reseal(a.ctx, args.Lost...)
		return err
	})
	return ResealResult(report), err
}

// doBackup streams the file. The snapshot is held while it does, so the client
// must keep a pace.
func doBackup(a *act, _ None, _ func(None) error) (DataResult, error) {
	return a.data(func(w *dataWriter) error { return a.db.File().Backup(a.ctx, w) })
}

// doRecords streams the accounts for another engine, as doBackup streams the file.
func doRecords(a *act, _ None, _ func(None) error) (RecordsResult, error) {
	var m snib.MoveReport
	d, err := a.data(func(w *dataWriter) (err error) {
		m, err = a.db.File().Export(a.ctx, w)
		return err
	})
	return RecordsResult{DataResult: d, Users: m.Users, Records: m.Records, LeftOut: m.LeftOut}, err
}

func doUserExport(a *act, args UserArgs, _ func(None) error) (DataResult, error) {
	u, err := a.find(args.User)
	if err != nil {
		return DataResult{}, err
	}
	return a.data(func(w *dataWriter) error { return a.db.ExportUser(a.ctx, u.ID, w) })
}

// data streams what do writes.
func (a *act) data(do func(*dataWriter) error) (DataResult, error) {
	if err := a.w.Flush(); err != nil {
		return DataResult{}, err
	}
	a.pace.held(true)
	defer a.pace.held(false)
	w := &dataWriter{act: a, sum: sha256.New()}
	if err := do(w); err != nil {
		return DataResult{}, err
	}
	return DataResult{w.n, hex.EncodeToString(w.sum.Sum(nil))}, nil
}

// A dataWriter makes frames of data.
type dataWriter struct {
	*act
	sum hash.Hash
	n   int64
}

// maxData is the payload of one frame of data.
const maxData = 256 << 10

func (w *dataWriter) Write(b []byte) (n int, err error) {
	for len(b) > 0 {
		part := b[:min(len(b), maxData)]
		if err := writeFrame(w.w, kindData, part); err != nil {
			return n, err
		}
		w.sum.Write(part)
		w.n += int64(len(part))
		n += len(part)
		b = b[len(part):]
	}
	return n, nil
}
