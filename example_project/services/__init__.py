"""Two fake services outside the shop, payments and shipping: processes that speak HTTP and sometimes fail."""
