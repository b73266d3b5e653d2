package snibops

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"
	"strconv"

	"github.com/snibdb/snib"
)

// doImport imports rows as they come. A line that is no ImportRow is refused
// like a row that cannot be a user, and the others go on.
func doImport(a *act, args ImportArgs, item func(ImportedRow) error) (ImportCount, error) {
	a.upload = true
	in := &rows{act: a, item: item}
	done := 0
	each := func(r snib.ImportedRow) {
		if done++; done%1000 == 0 {
			in.keep(writeJSON(a.w, kindProgress, Progress{Op: "import", Done: int64(done)}))
			in.keep(a.w.Flush())
		}
		if args.All || r.Outcome == snib.RowRefused {
			in.keep(item(importedOf(r)))
		}
	}
	report, err := a.db.ImportUsers(a.ctx, in.all(), snib.ImportOptions{Update: args.Update, DryRun: args.DryRun, Each: each})
	if err = errors.Join(err, in.broken); err != nil {
		if cause := context.Cause(a.ctx); errors.Is(cause, ErrStalled) {
			err = cause // and not that it ended the context
		}
		return ImportCount{}, err
	}
	count := ImportCount{
		Rows: report.Rows + in.malformed, Imported: report.Imported, Updated: report.Updated, Unchanged: report.Unchanged,
		Kept: report.Kept, Refused: report.Refused + in.malformed, Collisions: report.Collisions, Reasons: report.Reasons,
	}
	if in.malformed > 0 {
		if count.Reasons == nil {
			count.Reasons = map[string]int{}
		}
		count.Reasons[noRow] += in.malformed
	}
	return count, nil
}

// noRow is the reason of a line that is no ImportRow.
const noRow = "line is no JSON object of an import"

// rows is the input of an import.
type rows struct {
	*act
	item      func(ImportedRow) error
	malformed int
	broken    error // the connection
}

// keep remembers the first error of the connection.
func (in *rows) keep(err error) {
	if in.broken == nil {
		in.broken = err
	}
}

// all reads rows until the client says that there are no more. No transaction
// is open while it waits.
func (in *rows) all() iter.Seq2[snib.UserImport, error] {
	return func(yield func(snib.UserImport, error) bool) {
		for line := 1; ; line++ {
			if in.broken != nil {
				yield(snib.UserImport{}, in.broken)
				return
			}
			f, err := in.next()
			if err != nil {
				yield(snib.UserImport{}, err)
				return
			}
			if f.kind == kindEnd {
				return
			}
			if len(bytes.TrimSpace(f.payload)) == 0 {
				continue
			}
			var row ImportRow
			if err := exact(f.payload, &row); err != nil {
				in.malformed++
				in.keep(in.item(ImportedRow{Row: line, Outcome: snib.RowRefused.String(), Reason: noRow + ": " + err.Error()}))
				continue
			}
			if row.Row == 0 {
				row.Row = line
			}
			if !yield(row.user(), nil) {
				return
			}
		}
	}
}

// next waits for a frame of the input.
func (in *rows) next() (frame, error) {
	readDeadline(in.conn, in.idle)
	defer readDeadline(in.conn, 0)
	select {
	case f := <-in.frames:
		if f.kind != kindInput && f.kind != kindEnd {
			return frame{}, fmt.Errorf("snibops: import: %w", errProtocol)
		}
		return f, nil
	case <-in.ctx.Done():
		return frame{}, context.Cause(in.ctx)
	}
}

// user is the row as snib takes it.
func (r *ImportRow) user() snib.UserImport {
	u := snib.UserImport{
		ID: snib.UserID(r.ID), Provider: r.Provider, Identifier: r.Identifier, LinkedAt: r.LinkedAt, VerifiedAt: r.VerifiedAt,
		PasswordHash: r.PasswordHash, PasswordSource: r.PasswordSource, PasswordPepper: r.PasswordPepper,
		Roles: r.Roles, Attributes: r.Attributes, Disabled: r.Disabled, DisabledReason: r.DisabledReason,
		CreatedAt: r.CreatedAt, PasswordChangedAt: r.PasswordChangedAt, Row: r.Row,
	}
	for _, x := range r.Others {
		u.Others = append(u.Others, snib.Identity(x))
	}
	if k := r.PasswordKey; k != nil {
		parts := snib.PasswordKey(*k)
		u.PasswordKey = &parts
	}
	return u
}

// NewImportRow is the row of a user from another system. Times and bytes in
// Attributes become text in JSON; text that is not UTF-8 has no form there.
func NewImportRow(i snib.UserImport) ImportRow {
	r := ImportRow{
		ID: string(i.ID), Provider: i.Provider, Identifier: i.Identifier, LinkedAt: i.LinkedAt, VerifiedAt: i.VerifiedAt,
		PasswordHash: i.PasswordHash, PasswordSource: i.PasswordSource, PasswordPepper: i.PasswordPepper,
		Roles: i.Roles, Disabled: i.Disabled, DisabledReason: i.DisabledReason,
		CreatedAt: i.CreatedAt, PasswordChangedAt: i.PasswordChangedAt, Row: i.Row,
	}
	if i.Attributes != nil {
		r.Attributes, _ = spelled(map[string]any(i.Attributes)).(map[string]any)
	}
	for _, x := range i.Others {
		r.Others = append(r.Others, Identity(x))
	}
	if k := i.PasswordKey; k != nil {
		parts := PasswordKey(*k)
		r.PasswordKey = &parts
	}
	return r
}

// spelled copies a value with a fraction at each float, which would come back as an
// integer otherwise: JSON writes 1.0 as 1.
func spelled(v any) any {
	switch v := v.(type) {
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1e15 {
			return json.Number(strconv.FormatFloat(v, 'f', 1, 64))
		}
	case snib.Attributes:
		return spelled(map[string]any(v))
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, x := range v {
			out[name] = spelled(x)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = spelled(x)
		}
		return out
	}
	return v
}

func importedOf(r snib.ImportedRow) ImportedRow {
	out := ImportedRow{Row: r.Row, ID: string(r.ID), Outcome: r.Outcome.String(), Holder: string(r.Holder), HolderRow: r.HolderRow}
	if r.Err != nil {
		f := faultOf(r.Err)
		out.Reason, out.Codes, out.Input, out.Attribute = f.Text, f.Codes, f.Input, f.Attribute
	}
	return out
}
