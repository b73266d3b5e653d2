package snibetcd

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/snibdb/snib/internal/kv"
	"github.com/snibdb/snib/internal/kv/remote"
)

// failure is an error of the cluster as one of package kv. Most mean that another
// attempt may go through: no leader, no connection, a revision that was compacted.
func failure(err error) error {
	switch {
	case errors.Is(err, rpctypes.ErrTooManyOps), errors.Is(err, rpctypes.ErrRequestTooLarge):
		return fmt.Errorf("%w: %v", kv.ErrTooLarge, err)
	case errors.Is(err, rpctypes.ErrNoSpace):
		return fmt.Errorf("%w: %v", kv.ErrFull, err)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w: %v", remote.ErrUnreachable, err)
	case errors.Is(err, rpctypes.ErrCompacted):
		return fmt.Errorf("%w: %v", kv.ErrAgain, err)
	}
	switch status.Code(err) {
	case codes.InvalidArgument, codes.PermissionDenied, codes.Unauthenticated:
		return err
	case codes.ResourceExhausted: // the client's own bound on a message
		return fmt.Errorf("%w: %v", kv.ErrTooLarge, err)
	}
	return fmt.Errorf("%w: %v", remote.ErrUnreachable, err)
}

// refused reports whether the cluster has certainly not run a request.
func refused(err error) bool {
	for _, e := range []error{
		rpctypes.ErrTooManyOps, rpctypes.ErrRequestTooLarge, rpctypes.ErrDuplicateKey, rpctypes.ErrEmptyKey, rpctypes.ErrNoSpace, rpctypes.ErrLeaseNotFound,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	switch status.Code(err) {
	case codes.InvalidArgument, codes.PermissionDenied, codes.Unauthenticated:
		return true
	}
	return false
}
