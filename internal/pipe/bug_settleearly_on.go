//go:build weirbug_settleearly

package pipe

const bugSettleEarly = true
