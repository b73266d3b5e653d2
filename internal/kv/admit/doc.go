// Package admit decides which calls a store lets in: none once it is closed or
// poisoned (a [Gate]), and none of a goroutine that is inside one of the store's
// closures, where it would wait for itself (a [Nest]). Every engine has one of
// each.
package admit
