package main

import (
	"crypto/sha256"
	"embed"
	"fmt"
	"net/http"
	"sync"
)

//go:embed static
var staticFiles embed.FS

// static serves the stylesheet and the icon. Browsers ask each time whether
// theirs is still good: embedded files have no date, so each has an ETag.
func static() http.Handler {
	tag := sync.OnceValue(staticTag)
	files := http.FileServerFS(staticFiles)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-cache")
		w.Header().Set("ETag", tag())
		files.ServeHTTP(w, r)
	})
}

// staticTag is one tag for all of the files: they change together, with the
// program.
func staticTag() string {
	h := sha256.New()
	for _, name := range []string{"static/icon.svg", "static/style.css"} {
		content, err := staticFiles.ReadFile(name)
		if err != nil {
			panic(err) // unreachable: they are part of the program
		}
		h.Write(content)
	}
	return fmt.Sprintf("%q", fmt.Sprintf("%x", h.Sum(nil)[:8]))
}
