package report

import (
	"fmt"
	"math"
	"slices"
)

// Median returns the middle of values, the mean of the two in the middle if
// they are even in number, and 0 if there are no values. It leaves values as
// they are.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(values))
	n := len(s)
	return (s[(n-1)/2] + s[n/2]) / 2
}

// Spread returns half the distance from the least to the greatest value, as a
// part of the median: the precision that a reader may expect of the figure.
func Spread(values []float64) float64 {
	m := Median(values)
	if m == 0 {
		return 0
	}
	return (slices.Max(values) - slices.Min(values)) / 2 / m
}

// Ratio compares round by round, because other load on the machine changes from
// round to round and is the same for both within one. It returns the median of
// the quotients, 0 if there is nothing to compare.
func Ratio(values, floor []float64) float64 { return Median(quotients(values, floor)) }

func quotients(values, floor []float64) (list []float64) {
	for i := range min(len(values), len(floor)) {
		if q := values[i] / floor[i]; floor[i] > 0 && !math.IsNaN(q) {
			list = append(list, q)
		}
	}
	return list
}

// Before is the contender that stands for the commit before.
const Before = "before"

// Finish fills the medians in, and the ratio of every row to the rows of the
// floor, of the same checks and of the commit before at the same work, and puts
// the rows of one work together.
func (r *Result) Finish() {
	place := map[[2]string]int{}
	for i := range r.Rows {
		row := &r.Rows[i]
		row.Value, row.CPU = Median(row.Rounds), Median(row.CPUs)
		row.Ratio, row.Checked = r.against(row, r.Settings.Floor), r.against(row, r.Settings.Checked)
		if row.Peer == subject {
			row.Before = r.against(row, Before)
		}
		if _, ok := place[row.group()]; !ok {
			place[row.group()] = i
		}
	}
	slices.SortStableFunc(r.Rows, func(a, b Row) int { return place[a.group()] - place[b.group()] })
}

// against is a row's ratio to that of another contender, 0 if it has no row.
func (r *Result) against(row *Row, peer string) float64 {
	if other := r.Find(row.Work, row.Sessions, row.Workers, peer); other != nil {
		return Ratio(row.Rounds, other.Rounds)
	}
	return 0
}

// group is the common key of rows that are compared with each other.
func (r *Row) group() [2]string { return [2]string{r.Work, fmt.Sprint(r.Sessions, r.Workers)} }
