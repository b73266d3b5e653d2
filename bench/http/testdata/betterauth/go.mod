module github.com/snibdb/snib/bench/http/testdata/betterauth

go 1.26.0

require (
	github.com/eadwinCode/better-auth-go v0.0.0
	github.com/snibdb/snib/bench/http v0.0.0
	modernc.org/sqlite v1.62.0
)

require (
	github.com/dustin/go-humanize v1.1.0 // indirect
	github.com/google/uuid v1.6.0 // indirect
	github.com/mattn/go-isatty v0.0.24 // indirect
	github.com/ncruces/go-strftime v1.1.0 // indirect
	github.com/remyoudompheng/bigfft v0.0.0-20230129092748-24d4a6f8daec // indirect
	golang.org/x/crypto v0.59.0 // indirect
	golang.org/x/net v0.62.0 // indirect
	golang.org/x/sys v0.50.0 // indirect
	golang.org/x/text v0.44.0 // indirect
	modernc.org/libc v1.80.1 // indirect
	modernc.org/mathutil v1.7.1 // indirect
	modernc.org/memory v1.12.1 // indirect
)

replace github.com/snibdb/snib => ../../../../

replace github.com/snibdb/snib/bench => ../../../

replace github.com/snibdb/snib/bench/http => ../../

replace github.com/snibdb/snib/snibpg => ../../../../snibpg

replace github.com/snibdb/snib/snibsqlite => ../../../../snibsqlite
