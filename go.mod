module github.com/snibdb/snib

go 1.26.0
