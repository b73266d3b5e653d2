package main

import "net/http"

// forget makes the browser forget the pages that it has shown. The page that
// is shown after signing out links to it as to a stylesheet.
//
// Cache-Control: no-store keeps pages out of the browser's cache on disk, but
// Chromium keeps them whole in memory all the same, for going back, and would
// show the account to the next person at the machine. The header clears that
// memory too; on the answer to the sign-out it would come too early, as the
// page that is left is put there only when the next one is shown.
func forget(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Clear-Site-Data", `"cache"`)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
}
