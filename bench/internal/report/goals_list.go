package report

import "fmt"

// goals are the project's targets, in the order of the document.
var goals = []goal{
	{"ValidateSession at 10 k / 100 k / 1 M sessions, against `View` and `Get` of the same record", "≤ 1.00×", atSizes(toFloor, "validate", 1, 1)},
	{"the same, against the same checks on bbolt", "≤ 0.80×", atSizes(toChecks, "validate", 1, 0.80)},
	{"ValidateSession on all processors at once, against `View` and `Get`", "≤ 1.00×", atSizes(toFloor, "validate", everyone, 1)},
	{"ValidateSession of the newest 1 %, against `View` and `Get`", "–", atSizes(toFloor, "validate newest 1 %", 1, 0)},
	{"ValidateSession, allocations", "≤ 1", []part{{allocated("validate"), 1.05, false, allocs}}},
	{"ValidateSessionUser at 10 k / 100 k / 1 M, against the two `Get`s", "≤ 1.10×", atSizes(toFloor, "validate+user", 1, 1.10)},
	{"ValidateSessionUser, allocations", "≤ 3", []part{{allocated("validate+user"), 3.05, false, allocs}}},
	{"ListUserSessions of 10, against the same checks on bbolt", "–", atSizes(toChecks, "list of 10 sessions", 1, 0)},
	{"CreateSession by 1 / 64 / 512 writers, against one `Update` of two puts each", "≥ 1× / 9× / 16×", against("bbolt", 1, 9, 16)},
	{"Validate / create by 64 writers, against SQLite (WAL, FULL)", "≥ 5× / 4×", validateAndCreate("sqlite-full", 5, 4)},
	{"Validate, against pebble", "≥ 2.5×", validateAndCreate("pebble", 2.5, 0)[:1]},
	{"Validate / create by 64 writers, against scs on bbolt", "≥ 12× / 8×", validateAndCreate("scs-bbolt", 12, 8)},
	{"DeleteUser with 1,000 sessions made over time, against SQLite's cascade (FULL), ids in the order of time / random", "≥ 10×", []part{
		{faster(deleteThousand, 1, "sqlite-full"), 10, true, speedUp}, {faster(deleteThousand, 1, "sqlite-random"), 10, true, speedUp}}},
	{"pages of one create / refresh / deleting a user with 1,000 made over time", "≤ 8.5 / 12 / 16", []part{
		{figure("pages of create", 0, 1), 8.5, false, plainly}, {figure("pages of refresh", 0, 1), 12, false, plainly}, {figure("pages of "+deleteThousand, 0, 1), 16, false, plainly}}},
	{"1 M sessions of 100 k users: file / open / heap after opening", "≤ 270 MB / 50 ms / 16 MB", []part{
		{figure("file", 1_000_000, 0), 270e6, false, size}, {figure("open", 1_000_000, 0), 50e6, false, duration}, {figure("heap after open", 1_000_000, 0), 16e6, false, size}}},
	{"Check of 1 M sessions", "≤ 1.5 s", []part{{figure("check of all", 1_000_000, 0), 1.5e9, false, duration}}},
	{"ImportUsers of 1 M users: time / memory", "≤ 2 min / 100 MB", []part{
		{figure("import of as many users", 1_000_000, 0), 120e9, false, duration}, {figure("most memory of an import, without the file's pages", 1_000_000, 0), 100e6, false, size}}},
	{"creates by 64 beside 1 / 8 / 64 closures that fail, of the creates beside none", "≥ 0.50×", []part{
		part50("create beside 1 closures that fail"), part50("create beside 8 closures that fail"), part50("create beside 64 closures that fail")}},
	{"the same, beside a closure that sleeps 20 ms", "≥ 0.50×", []part{part50("create beside a closure that sleeps 20 ms")}},
	{"the longest create of a caller with 100 ms, beside closures of 1 s", "≤ 200 ms", []part{
		{figure("create within 100 ms beside a closure of 1 s, longest", 0, 16), 200e6, false, duration}}},
	{"closures by 8 beside 64 creators, of the closures alone", "≥ 0.40×", []part{
		{between("closure", "closure beside 64 creators", 8, rounds), 0.4, true, times}}},
	{"ValidateSession while a View / an Update / a Backup is open, against none", "≤ 1.30×", whileOpen("validate")},
	{"View of a user, against bbolt's, with none / a View / an Update / a Backup open", "≤ 2×", viewsOpen()},
	{"CreateSession during a sweep, median, against before", "–", []part{
		{between("create during a sweep, p50", "create before a sweep, p50", 1, rounds), 0, false, times}}},
	{"p99 of validations while 64 writers create, against idle: the call / from when it was due", "≤ 3×", p99("validate while 64 create, p99", "validate, idle, p99")},
	{"p99 of validations during a sweep, against before: the call / from when it was due", "≤ 3×", p99("validate during a sweep, p99", "validate before a sweep, p99")},
}

const deleteThousand = "delete user with 1000 made over time"

// against is creation by 1, 64 and 512 writers.
func against(peer string, limits ...float64) (list []part) {
	for i, workers := range []int{1, 64, 512} {
		list = append(list, part{faster("create", workers, peer), limits[i], true, speedUp})
	}
	return list
}

func validateAndCreate(peer string, validate, create float64) []part {
	return []part{{faster("validate", 1, peer), validate, true, speedUp}, {faster("create", 64, peer), create, true, speedUp}}
}

// part50 is how much of the creates beside no closure is left.
func part50(work string) part {
	return part{between("create beside 0 closures that fail", work, 64, rounds), 0.5, true, times}
}

func whileOpen(work string) (list []part) {
	for _, what := range opened {
		list = append(list, part{between(work+" while "+what+" is open", work+" while nothing is open", 1, rounds), 1.3, false, times})
	}
	return list
}

func viewsOpen() []part {
	list := []part{{toFloor("view", 0, 1), 2, false, times}}
	for _, what := range opened {
		list = append(list, part{toFloor("view while "+what+" is open", 0, 1), 2, false, times})
	}
	return list
}

var opened = []string{"a View", "an Update", "a Backup"}

func plainly(v float64) string { return fmt.Sprintf("%.1f", v) }
