"""What every table sets beside a network: lines, nearest neighbours, ridge, small learners."""
