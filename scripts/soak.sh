#!/usr/bin/env bash
# Runs random operations against the model, and the crash machinery, with ever
# other seeds, for DURATION (default 1h) in all. Each failure names its seed.
. "$(dirname "$0")/lib.sh"

duration=${DURATION:-1h}
case $duration in
*h) seconds=$((${duration%h} * 3600)) ;;
*m) seconds=$((${duration%m} * 60)) ;;
*s) seconds=${duration%s} ;;
*) echo "DURATION=$duration: want a number and h, m or s" && exit 2 ;;
esac

drawn='Random|FlippedBits|SorterGives|Settled|Contract|GateUnderLoad'
model=$(mktemp)
trap 'rm -f "$model"' EXIT
go test -c -o "$model" ./proof
end=$((SECONDS + seconds / 2)) rounds=0
while [ "$SECONDS" -lt "$end" ]; do
	"$model" -test.run 'TestModel(Options)?$' -test.timeout 1h -seed 0 -steps "${STEPS:-5000}"
	"$model" -test.run 'NoSecretIsEverInTheFile' -test.timeout 1h -security.seed 0
	SNIB_TEST_SEED=draw go test -count=1 . -run 'SoFromTheBeginningHas'
	(cd snibsqlite && SNIB_TEST_SEED=draw go test -count=1 . -run 'KilledWriter|DamagedPages')
	SNIB_TEST_SEED=draw go test -count=1 ./codec ./internal/sorter ./internal/kv/... ./internal/phc -run "$drawn"
	rounds=$((rounds + 1))
done
echo "model: $rounds rounds of ${STEPS:-5000} steps, no difference"
[ "$(uname)" = Linux ] || { echo "not Linux: no crash machinery" && exit 0; }
cd crash
go run . -duration "$((seconds / 2))s"
