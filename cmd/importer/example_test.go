package importer_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/cmd/importer"
	"github.com/snibdb/snib/snibtest"
)

func ExampleRun() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	db, err := snib.Open(filepath.Join(dir, "accounts.db"), &snib.Options{Now: snibtest.NewClock().Now})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	ctx, path := context.Background(), filepath.Join("testdata", "better-auth.sqlite")

	report, err := importer.Run(ctx, db, importer.Source{From: "better-auth", Path: path}, importer.Options{DryRun: true})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(report.Imported, "would come in,", report.Collisions, "collide,", report.WithPassword, "have a password")
	// Output: 6 would come in, 0 collide, 5 have a password
}
