package service

// DynamoDB's units: a write unit is 1 KB of item, a read unit 4 KB, and an
// eventually consistent read costs half. Everything costs at least one.
const (
	writeUnitBytes = 1 << 10
	readUnitBytes  = 4 << 10
)

// writeUnits is what a write of an item of that size costs.
func writeUnits(sizeBytes uint64) float64 {
	return float64(max(1, (sizeBytes+writeUnitBytes-1)/writeUnitBytes))
}

// readUnits is what reading that much at once costs.
func readUnits(sizeBytes uint64, strong bool) float64 {
	units := float64(max(1, (sizeBytes+readUnitBytes-1)/readUnitBytes))
	if !strong {
		units /= 2
	}
	return units
}
